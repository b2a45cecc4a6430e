"""SQLite's write-ahead log, read with more patience than SQLite has. Sans-IO.

SQLite ends the log, without a word, at the first frame whose checksum is wrong: one flipped bit takes with it all that
was committed behind it. But each frame holds the checksum of all before it, so those behind a bad one can still be told
from junk, and a single wrong bit can be found by what it does to the sum. What is made of it is a log that SQLite reads
to its end.

Formats: https://www.sqlite.org/fileformat2.html#walformat and https://www.sqlite.org/walformat.html#walidxfmt.

Words: a *frame* is a page as a transaction left it; a *commit* the last frame of one; the *claim* is what the index
beside the log (`-shm`) says of it, which a crash of the process leaves as it was.
"""

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

_HEADER, _FRAME = struct.Struct(">8I"), struct.Struct(">2I8s2I")
_MAGIC, _VERSION = 0x377F0682, 3007000
"""The lowest bit of the magic number says that checksums are of big-endian words."""
_INDEX = struct.Struct("=3I2BH4I8s2I")
_INDEX_HEADER_BYTES, _INDEX_BYTES = 48, 100
"""Of one of the two equal headers; of both, and the number of frames that are in the main file behind them."""
_MASK = 2**32 - 1
_UNMASKED = 32
"""Words between two cuts of the sums: a node that starts adds up its whole log, and a cut costs as much as a word."""

_STRANGERS = 3
"""Frames in a row of which nothing fits, before the rest of the log is taken for that of an earlier one. A bad sector
spoils two, and three where it takes in the sums of one, from which the next one's follow."""

Sums = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """What the index says: of which log (salts), how far it is committed, and how far it is in the main file too."""

    salts: bytes
    frames: int
    in_main_file: int
    page_bytes: int
    pages: int


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a log.

    Attributes:
        bad: frames, counted from 1, that were not as they were written.
        corrected: how many of them are so again.
        missing: committed frames that are not there.
        is_harmless: the mended log gives all that was committed: the bad frames are corrected, or a later frame of the
            same page takes their place.
        mended: the whole log as SQLite will read it.
    """

    bad: Sequence[int]
    corrected: int
    missing: int
    is_harmless: bool
    mended: bytes


def parse_claim(index: bytes) -> Claim | None:
    """None if it is no claim: of another version, or torn."""
    if len(index) < _INDEX_BYTES or index[:_INDEX_HEADER_BYTES] != index[_INDEX_HEADER_BYTES : 2 * _INDEX_HEADER_BYTES]:
        return None
    version, _, _, is_init, _, size, frames, pages, *_, salts, sum1, sum2 = _INDEX.unpack_from(index)
    words = array("I", index[: _INDEX_HEADER_BYTES - 8])
    if version != _VERSION or not is_init or _add(words, (0, 0)) != (sum1, sum2):
        return None
    (in_main_file,) = struct.unpack_from("=I", index, 2 * _INDEX_HEADER_BYTES)
    return Claim(salts, frames, in_main_file, 65536 if size == 1 else size, pages)


def examine(log: bytes, claim: Claim | None) -> Damage | None:
    """None if SQLite will find in it all that was committed, as far as one can know."""
    header = _header(log, claim)
    if header is None:
        return None
    reading = _Reading(log, header)
    if claim is not None and claim.salts != reading.salts:
        claim = None  # of an earlier log: nothing was committed to this one that its own frames do not tell
    last = reading.last_commit(claim.frames if claim else 0)
    kept = reading.frames[:last]
    lost = claim is not None and last < claim.frames
    if not lost and header == log[: len(header)] and all(frame.state is _State.INTACT for frame in kept):
        return None
    bad = [frame.number for frame in kept if frame.state is not _State.INTACT]
    corrected = sum(frame.state is _State.CORRECTED for frame in kept)
    if lost and claim is not None and claim.in_main_file == claim.frames:
        # All of it is there; but what SQLite finds of the log would hide it behind older pages.
        return Damage(bad, corrected, 0, is_harmless=True, mended=b"")
    missing = claim.frames - last if lost and claim is not None else 0
    mended, is_whole = reading.mend(last)
    return Damage(bad, corrected, missing, is_harmless=is_whole and not missing, mended=mended)


def _header(log: bytes, claim: Claim | None) -> bytes | None:
    """The log's header as it was written; None if there is no log, or nothing to know of its header."""
    header = log[: _HEADER.size]
    if len(header) < _HEADER.size:
        return None
    magic, version, *_, sum1, sum2 = _HEADER.unpack(header)
    if magic & ~1 == _MAGIC and version == _VERSION and _add(_words(header[:24], magic), (0, 0)) == (sum1, sum2):
        return header
    if claim is None:
        return None
    written = struct.pack(">4I8s", _MAGIC | (sys.byteorder == "big"), _VERSION, claim.page_bytes, 0, claim.salts)
    return written + struct.pack(">2I", *_add(_words(written, magic), (0, 0)))


class _State(Enum):
    INTACT = auto()
    CORRECTED = auto()
    BAD = auto()


@dataclass(slots=True)
class _Frame:
    """One frame. `page`: its number; `pages`: of the file as it committed, else 0; `sums`: as stored. `may_be_ours`:
    its salts are this log's but for a bit; behind the end of a log there are those of an earlier one, whose sums follow
    from each other, too."""

    number: int
    page: int
    pages: int
    is_ours: bool
    may_be_ours: bool
    sums: Sums
    content: bytes
    state: _State = _State.BAD


class _Reading:
    """A log: its frames, and what state they are in."""

    def __init__(self, log: bytes, header: bytes) -> None:
        self._header = header
        self._magic, _, page_bytes, *_, sum1, sum2 = _HEADER.unpack(header)
        self._sums = (sum1, sum2)
        self.salts = header[16:24]
        self.frames: list[_Frame] = []
        self._judge(self._read(log, page_bytes))

    def _read(self, log: bytes, page_bytes: int) -> Iterator[_Frame]:
        size = _FRAME.size + page_bytes
        for number, at in enumerate(range(_HEADER.size, len(log) - size + 1, size), start=1):
            page, pages, salts, sum1, sum2 = _FRAME.unpack_from(log, at)
            wrong = (int.from_bytes(salts) ^ int.from_bytes(self.salts)).bit_count()
            content = log[at + _FRAME.size : at + size]
            yield _Frame(number, page, pages, wrong == 0, wrong <= 1, (sum1, sum2), content)

    def _judge(self, frames: Iterator[_Frame]) -> None:
        """A frame is intact if its sums follow from those before it: as they are stored, or as they should be."""
        stored = computed = self._sums
        strangers = 0
        for frame in frames:
            found = {seed: _add(self._words(frame), seed) for seed in {stored, computed}}
            if not frame.may_be_ours:
                pass
            elif found[stored] == frame.sums:
                frame.state = _State.INTACT if frame.is_ours else _State.CORRECTED
            elif found[computed] == frame.sums:
                frame.state = _State.INTACT
                self.frames[-1].state = _State.CORRECTED  # only its sums were wrong
            elif frame.is_ours and strangers < _STRANGERS and self._corrected(frame, stored, found[stored]):
                frame.state = _State.CORRECTED
            strangers = strangers + 1 if frame.state is _State.BAD else 0
            if strangers > _STRANGERS and not frame.is_ours:
                return  # what follows is of an earlier log
            self.frames.append(frame)
            stored, computed = frame.sums, found[stored] if frame.state is _State.BAD else frame.sums

    def _corrected(self, frame: _Frame, seed: Sums, found: Sums) -> bool:
        """Puts one wrong bit right, where that is all that is wrong, and only one can be it."""
        words = self._words(frame)
        wrong = list(_wrong_bits(words, seed, frame.sums))
        differing = (found[0] ^ frame.sums[0]).bit_count() + (found[1] ^ frame.sums[1]).bit_count()
        if differing == 1 and not wrong:
            frame.sums = found
        elif differing > 1 and len(wrong) == 1:
            ((place, bit),) = wrong
            words[place] ^= 1 << bit
            octets = _octets(words, self._magic)
            frame.page, frame.pages = struct.unpack_from(">2I", octets)
            frame.content = octets[8:]
        else:
            return False
        return True

    def last_commit(self, claimed: int) -> int:
        """The frame up to which it was committed: as claimed, or as far as its frames tell.

        A transaction that was being written when the power went may have a bad frame before good ones, and was not
        committed. So, beyond the claim, behind a bad frame only what follows another commit counts.
        """
        last = commits = 0
        was_bad = False
        for frame in self.frames:
            was_bad |= frame.state is _State.BAD
            if frame.pages and frame.state is not _State.BAD:
                commits += was_bad
                if not was_bad or commits > 1 or frame.number <= claimed:
                    last = frame.number
        return last

    def mend(self, last: int) -> tuple[bytes, bool]:
        """The log up to a frame, with sums that follow from each other; and whether each page in it is, in its last
        version, as it was written."""
        kept = self.frames[:last]
        newest = {frame.page: frame for frame in kept if frame.state is not _State.BAD}
        most = max((frame.pages for frame in newest.values()), default=0)
        is_whole = True
        sums = self._sums
        mended = bytearray(self._header)
        for frame in kept:
            if frame.state is _State.BAD:
                other = newest.get(frame.page)
                if other is None or other.number < frame.number:
                    is_whole = False
                if not 0 < frame.page <= most:
                    # SQLite ends at a page 0, and would let the file grow. In its place once more what stands anyway.
                    other = kept[last - 1]
                    frame.page, frame.content = other.page, other.content
                frame.pages = min(frame.pages, most)
            sums = _add(self._words(frame), sums)
            mended += _FRAME.pack(frame.page, frame.pages, self.salts, *sums) + frame.content
        return bytes(mended), is_whole

    def _words(self, frame: _Frame) -> "array[int]":
        return _words(struct.pack(">2I", frame.page, frame.pages) + frame.content, self._magic)


def _add(words: "array[int]", sums: Sums) -> Sums:
    """SQLite's checksum of 32-bit words, an even number of them, that goes on from `sums`."""
    sum1, sum2 = sums
    for start in range(0, len(words), _UNMASKED):
        pairs = iter(words[start : start + _UNMASKED])
        for even, odd in zip(pairs, pairs, strict=True):
            sum1 += even + sum2
            sum2 += odd + sum1
        sum1, sum2 = sum1 & _MASK, sum2 & _MASK
    return sum1, sum2


def _wrong_bits(words: "array[int]", seed: Sums, sums: Sums) -> Iterator[tuple[int, int]]:
    """Which word may have which bit wrong, if the words would have these sums but for that.

    The checksum is linear modulo 2^32: a word that is larger by d makes the sums larger by d times what a 1 in its
    place adds. In the last pair of words that is (1, 1) for the first and (0, 1) for the second; each further pair
    behind it makes (a, b) of that (a + b, a + 2b). Modulo 2^9 these repeat within a page: of a word's nine highest
    bits, several places make the same change.
    """
    found1, found2 = _add(words, seed)
    missing = (sums[0] - found1) & _MASK, (sums[1] - found2) & _MASK
    added = [(0, 1), (1, 1)]
    for second in range(len(words) - 1, 0, -2):
        for place, (one1, one2) in zip((second, second - 1), added, strict=True):
            for bit in range(32):
                change = -(1 << bit) if words[place] >> bit & 1 else 1 << bit
                if (one1 * change & _MASK, one2 * change & _MASK) == missing:
                    yield place, bit
        added = [((one1 + one2) & _MASK, (one1 + 2 * one2) & _MASK) for one1, one2 in added]


def _words(octets: bytes, magic: int) -> "array[int]":
    words = array("I", octets)
    if (magic & 1) != (sys.byteorder == "big"):
        words.byteswap()
    return words


def _octets(words: "array[int]", magic: int) -> bytes:
    return _words(words.tobytes(), magic).tobytes()
