"""Keys and values of a batch in which finished rows are replaced by new rows.

The batch is always an ordinary left-padded batch, so every model that works with left padding works here. All rows end in the
same column, each row begins in a column of its own, and one step writes one column. A finished row leaves its *seat* to a new
prompt, whose keys and values are copied in so that they end in the same column. Columns before the first column in use are
dropped; when no column is left at the end, the columns in use move to the front.

`transformers.DynamicCache` instead copies everything at every step (`cat`: the larger part of a tiny model's time), and
cannot take new rows.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer

from cavesson.sampling.reading import Reader, positions_of

_KINDS: dict[type, bool] = {DynamicLayer: False, DynamicSlidingWindowLayer: True}
"""Layers of transformers that a window can replace, and whether they slide."""


class Keys(Protocol):
    """The keys and values (or recurrent states) of a batch, for one manner of reading."""

    refills: ClassVar[bool]
    """Whether rows may have different lengths, and new rows may be added while others are still being written."""

    def __init__(self, config: Any, seats: int, columns: int) -> None: ...

    @staticmethod
    def fits(config: Any) -> bool:
        """Whether the manner can be tried with a network of this config."""
        ...

    def begin(self, read: Reader, ids: Tensor, mask: Tensor, seats: Tensor, end: int) -> Tensor:
        """Read new rows onto their seats, so that their last column is the column before `end`; their logits."""
        ...

    def step(self, read: Reader, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Read the last of the columns in use, `ids` and `mask` `[rows, columns]`; the logits after the last column."""
        ...

    def use_columns(self, start: int, end: int) -> None:
        """Set the columns in use: `start` to `end` (exclusive)."""
        ...

    def keep(self, seats: Tensor) -> None:
        """Keep only the rows on these seats, in this order."""
        ...

    def move(self, start: int, end: int) -> None:
        """Move the columns `start` to `end` (exclusive) to the front."""
        ...


class WindowLayer(CacheLayerMixin):
    """One layer's keys and values, `[seats, heads, columns, head_dim]`; the part `[:seats, :, start:end]` is in use."""

    keys: Tensor
    values: Tensor

    def __init__(self, seats: int, columns: int, *, sliding: bool) -> None:
        super().__init__()
        self.seats, self.columns, self.start, self.end = seats, columns, 0, 0
        self.is_sliding = sliding  # a sliding layer keeps all columns too: the mask hides the old columns

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        # zeros, not uninitialised memory: masked values are multiplied by zero, and zero times NaN is NaN
        self.keys = key_states.new_zeros(self.seats, key_states.shape[1], self.columns, key_states.shape[3])
        self.values = value_states.new_zeros(self.seats, value_states.shape[1], self.columns, value_states.shape[3])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the next column; returns all keys and values in use, those of the new column included."""
        after = self.end + key_states.shape[2]
        self.keys[: self.seats, :, self.end : after] = key_states
        self.values[: self.seats, :, self.end : after] = value_states
        self.end = after
        return self.keys[: self.seats, :, self.start : after], self.values[: self.seats, :, self.start : after]

    def get_mask_sizes(self, query: Any) -> tuple[int, int]:
        """Columns that the mask has, and the number of columns before them; until transformers 5.14, `query` lists the new ones."""
        return self.get_seq_length() + (query if isinstance(query, int) else len(query)), 0

    def get_seq_length(self, *_: Any) -> int:
        return self.end - self.start

    def get_max_length(self) -> int:
        return -1

    get_max_cache_shape = get_max_length  # its name before transformers 5.20


class Window:
    """Keys and values of a model whose layers have no other state; rows of any length, padded on the left."""

    refills: ClassVar[bool] = True

    def __init__(self, config: Any, seats: int, columns: int) -> None:
        self.config = config
        sliding = [_KINDS[type(layer)] for layer in DynamicCache(config=config).layers]
        self.layers = [WindowLayer(seats, columns, sliding=slides) for slides in sliding]
        self.cache = Cache(layers=list(self.layers))

    @staticmethod
    def fits(config: Any) -> bool:
        layers = DynamicCache(config=config).layers
        return bool(layers) and all(type(layer) in _KINDS for layer in layers)

    def begin(self, read: Reader, ids: Tensor, mask: Tensor, seats: Tensor, end: int) -> Tensor:
        prefilled = DynamicCache(config=self.config)
        logits = read(ids, mask, positions_of(mask), prefilled)
        self.admit(prefilled, seats, end)
        return logits

    def step(self, read: Reader, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        return read(ids[:, -1:], mask, positions, self.cache)

    def admit(self, prefilled: Cache, seats: Tensor, end: int) -> None:
        """Copy the keys and values of new rows to their seats."""
        for layer, new in zip(self.layers, prefilled.layers, strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(new.keys, new.values)
            # a sliding layer gives its last columns only; an earlier row's values before these columns stay masked
            columns = slice(end - new.keys.shape[2], end)
            here = seats.to(new.keys.device)  # a model that is spread has its layers on several GPUs
            layer.keys[here, :, columns] = new.keys
            layer.values[here, :, columns] = new.values

    def use_columns(self, start: int, end: int) -> None:
        for layer in self.layers:
            layer.start, layer.end = start, end

    def keep(self, seats: Tensor) -> None:
        for layer in self.layers:
            used = slice(layer.start, layer.end)
            here = seats.to(layer.keys.device)
            layer.keys[: len(seats), :, used] = layer.keys[here, :, used]
            layer.values[: len(seats), :, used] = layer.values[here, :, used]
            layer.seats = len(seats)

    def move(self, start: int, end: int) -> None:
        for layer in self.layers:
            layer.keys[:, :, : end - start] = layer.keys[:, :, start:end].clone()
            layer.values[:, :, : end - start] = layer.values[:, :, start:end].clone()


class Alike:
    """For recurrent and hybrid models, which padding would disturb: all rows have one length and start together."""

    refills: ClassVar[bool] = False
    cache: Cache

    def __init__(self, config: Any, seats: int, columns: int) -> None:
        self.config = config

    @staticmethod
    def fits(config: Any) -> bool:
        return True

    def begin(self, read: Reader, ids: Tensor, mask: Tensor, seats: Tensor, end: int) -> Tensor:
        self.cache = DynamicCache(config=self.config)
        return read(ids, None, positions_of(mask), self.cache)

    def step(self, read: Reader, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        return read(ids[:, -1:], None, positions, self.cache)

    def use_columns(self, start: int, end: int) -> None:
        pass

    def keep(self, seats: Tensor) -> None:
        self.cache.reorder_cache(seats)

    def move(self, start: int, end: int) -> None:
        pass


class Anew:
    """For models that cannot hand a state on: every step reads the whole text of rows of one length. Slow, and always right."""

    refills: ClassVar[bool] = False

    def __init__(self, config: Any, seats: int, columns: int) -> None:
        pass

    @staticmethod
    def fits(config: Any) -> bool:
        return True

    def begin(self, read: Reader, ids: Tensor, mask: Tensor, seats: Tensor, end: int) -> Tensor:
        return read(ids)

    def step(self, read: Reader, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        return read(ids)

    def use_columns(self, start: int, end: int) -> None:
        pass

    def keep(self, seats: Tensor) -> None:
        pass

    def move(self, start: int, end: int) -> None:
        pass
