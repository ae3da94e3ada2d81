"""Keys and values of a batch whose rows come and go.

The batch is at every moment an ordinary left-padded one, so every model that copes with left padding copes with this:
all rows end in the same column, each began in a column of its own, and one step writes one column. A row that is done
leaves its *seat* to a new prompt, whose keys and values are copied in so that they end in that same column. Columns
before the first one still in use are forgotten, and the others move to the front when the space is used up.

`transformers.DynamicCache` copies everything at every step instead (`cat`: the larger part of a tiny model's time), and
it cannot take new rows.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer


class Keys(Protocol):
    """Where a batch's keys and values (or recurrent states) are kept."""

    cache: Cache
    """What the model is given."""
    refills: bool
    """New rows may come while others are still being written."""

    def admit(self, prefilled: Cache, seats: Tensor, end: int) -> None:
        """Give new rows their seats; their last column becomes the one before `end`."""
        ...

    def look(self, start: int, end: int) -> None:
        """Say which columns are in use."""
        ...

    def keep(self, seats: Tensor) -> None:
        """Keep these rows only, in this order."""
        ...

    def move(self, start: int, end: int) -> None:
        """Move the columns in use to the front."""
        ...


def keys_for(config: Any, seats: int, columns: int) -> Keys:
    """The fastest place that is right for a model of this config."""
    kinds = {DynamicLayer: False, DynamicSlidingWindowLayer: True}
    layers = DynamicCache(config=config).layers
    if layers and all(type(layer) in kinds for layer in layers):
        return Window([kinds[type(layer)] for layer in layers], seats, columns)
    return Together()


class WindowLayer(CacheLayerMixin):
    """One layer's keys and values, `[seats, heads, columns, head_dim]`, of which `[:seats, :, start:end]` are in use."""

    keys: Tensor
    values: Tensor

    def __init__(self, seats: int, columns: int, *, sliding: bool) -> None:
        super().__init__()
        self.seats, self.columns, self.start, self.end = seats, columns, 0, 0
        self.is_sliding = sliding  # such a layer keeps all columns too: the mask hides the old ones

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        # zeros, not whatever is there: what the mask hides is multiplied by zero, and zero times NaN is NaN
        self.keys = key_states.new_zeros(self.seats, key_states.shape[1], self.columns, key_states.shape[3])
        self.values = value_states.new_zeros(self.seats, value_states.shape[1], self.columns, value_states.shape[3])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the next column; returns all keys and values in use, the new ones included."""
        after = self.end + key_states.shape[2]
        self.keys[: self.seats, :, self.end : after] = key_states
        self.values[: self.seats, :, self.end : after] = value_states
        self.end = after
        return self.keys[: self.seats, :, self.start : after], self.values[: self.seats, :, self.start : after]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        return self.end - self.start

    def get_max_length(self) -> int:
        return -1


class Window:
    """Keys and values of a model whose layers keep nothing else."""

    refills = True

    def __init__(self, sliding: list[bool], seats: int, columns: int) -> None:
        self.layers = [WindowLayer(seats, columns, sliding=slides) for slides in sliding]
        self.cache = Cache(layers=list(self.layers))

    def admit(self, prefilled: Cache, seats: Tensor, end: int) -> None:
        for layer, new in zip(self.layers, prefilled.layers, strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(new.keys, new.values)
            # a sliding layer gives its last columns only; what is left of an earlier row before them stays masked
            columns = slice(end - new.keys.shape[2], end)
            layer.keys[seats, :, columns] = new.keys
            layer.values[seats, :, columns] = new.values

    def look(self, start: int, end: int) -> None:
        for layer in self.layers:
            layer.start, layer.end = start, end

    def keep(self, seats: Tensor) -> None:
        for layer in self.layers:
            used = slice(layer.start, layer.end)
            layer.keys[: len(seats), :, used] = layer.keys[seats, :, used]
            layer.values[: len(seats), :, used] = layer.values[seats, :, used]
            layer.seats = len(seats)

    def move(self, start: int, end: int) -> None:
        for layer in self.layers:
            layer.keys[:, :, : end - start] = layer.keys[:, :, start:end].clone()
            layer.values[:, :, : end - start] = layer.values[:, :, start:end].clone()


class Together:
    """For recurrent and hybrid models, which padding would disturb: rows of one length, that come together."""

    refills = False
    cache: Cache

    def admit(self, prefilled: Cache, seats: Tensor, end: int) -> None:
        self.cache = prefilled

    def look(self, start: int, end: int) -> None:
        pass

    def keep(self, seats: Tensor) -> None:
        self.cache.reorder_cache(seats)

    def move(self, start: int, end: int) -> None:
        pass
