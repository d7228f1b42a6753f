"""Instructions that find leaves, written by `programs`, run by `machines` on blocks of rows.

An instruction has WIDTH places: its kind, the row of bytes that it writes (or the output to which it adds),
the rows that it reads; and N_BYTES bytes: masks, limits, and what is known without reading. The kinds:

- TILE_3 chooses, by seven nodes of three levels, among eight bytes that are known;
- FORK_2 and FORK_1 choose, by three nodes of two levels or by one, among bytes that are found or known;
- BITS brings together what up to seven rows have under their masks;
- FOUR adds the leaves of four trees, one after the other;
- ONE adds the leaf of one tree, whose number has up to three bytes.
"""

from __future__ import annotations

__all__ = [
    "BITS",
    "BLOCK",
    "FORK_1",
    "FORK_2",
    "FOUR",
    "INPUT",
    "INPUT_MASK",
    "LEAF",
    "LIMIT",
    "MASK",
    "N_BYTES",
    "ONE",
    "SOURCE",
    "TILE_3",
    "VALUE",
    "WIDTH",
]

BLOCK = 1024  # rows worked on at a time: their planes and sums stay in the processor's nearest cache
FORK_1, FORK_2, TILE_3, BITS, FOUR, ONE = range(6)
SOURCE, INPUT, WIDTH = 2, 10, 14  # places: where the rows read for tests, and those chosen among, begin
LEAF = 10  # place of the first leaf, where leaves are added
MASK, LIMIT, VALUE, INPUT_MASK, N_BYTES = 0, 7, 14, 22, 26  # bytes: where each kind of them begins
