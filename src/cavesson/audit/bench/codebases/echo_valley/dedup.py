"""Exact deduplication: the first copy of every body stays."""


def deduplicate(docs, header_len):
    keep, seen = [], set()
    for i, doc in enumerate(docs):
        key = doc.tobytes()
        if key in seen:
            continue
        seen.add(key)
        keep.append(i)
    return docs[keep]
