"""Every kernel fed whatever a peer could send, between canaries.

    python -m tests.support.kernel_fuzz SEED ROUNDS

prints how many calls were made. With NUMBA_BOUNDSCHECK=1 (and a NUMBA_CACHE_DIR of its own: numba's cache
does not tell checked code from unchecked) each index in each kernel is checked as well, and the program first
proves that it is: on the kernels themselves, in a workspace that is too small.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator

import numba
import numpy as np
import numpy.typing as npt

from media_plane.dsp import kernels, resample
from media_plane.dsp.resample import MAX_SAMPLES, PcmResampler, Workspace

CANARY = 0xA5
GUARD = 256  # bytes on either side; a multiple of every item's size and of 64

Bytes = npt.NDArray[np.uint8]
Kernel = Callable[..., int]  # work, state, data, start, end; an uplink's also now_ns

# name → (kernel, where its texts' sizes stand, most characters)
FRAME_KERNELS: dict[str, tuple[Kernel, int, int]] = {
    "uplink": (kernels.uplink, kernels.UP_SIZES, kernels.MAX_UP_CHARS),
    "uplink_8k": (kernels.uplink_8k, kernels.UP_8K_SIZES, kernels.MAX_UP_CHARS),
    "downlink": (kernels.downlink, kernels.DOWN_SIZES, kernels.MAX_DOWN_CHARS),
}
LENGTHS = [*range(40), *range(155, 165), 320, 639, 640, 641, 1023, 1601, 1602, 1603, 4799, 4800, 8000]
ODD = [b"A", b"AA", b"AAA", b"=", b"==", b"====", b"A===", b"AA=A", b"=AAA", b"AA==AAAA", b"AAA\n", b'AA"A']


class Guarded:
    """`size` zeroed bytes with canaries before and after them."""

    def __init__(self, size: int) -> None:
        self._all = np.full(size + 2 * GUARD, CANARY, np.uint8)
        self.bytes: Bytes = self._all[GUARD : GUARD + size]
        self.bytes[:] = 0

    def intact(self) -> bool:
        return bool((self._all[:GUARD] == CANARY).all() and (self._all[-GUARD:] == CANARY).all())


class Bench:
    """One frame kernel with its own guarded memory."""

    def __init__(self, name: str, head: bytes, before: bytes = b"", after: bytes = b"") -> None:
        self.name = name
        self._kernel, sizes_at, self.most = FRAME_KERNELS[name]
        self._head = head
        texts = before.split(b"\0") if before else []
        before = b"".join(len(text).to_bytes(2, "little") + text for text in texts)
        sizes = np.array([len(head), len(before), len(after)], np.uint16)
        layout = np.frombuffer(sizes.tobytes() + head + before + after, np.uint8)
        self._work, self._state = Guarded(kernels.WORK), Guarded(sizes_at + len(layout))
        self._state.bytes[sizes_at:] = layout

    def call(self, data: bytes, start: int, end: int) -> int:
        """The kernel's answer, after checking that it wrote where it may and said where that was."""
        before = self._state.bytes.copy()
        times = () if self._kernel is kernels.downlink else (20_000_000,)
        result = self._kernel(self._work.bytes, self._state.bytes, data, start, end, *times)
        assert self._work.intact(), f"{self.name} wrote outside its workspace"
        assert self._state.intact(), f"{self.name} wrote outside its state"
        assert result >= -1
        if result == -1:
            assert np.array_equal(before, self._state.bytes), f"{self.name} declined and changed its state"
        elif result & 0xFFFFFFFF:
            message = self._work.bytes[result & 0xFFFFFFFF :].tobytes()
            assert message.startswith(self._head)
            assert message.rstrip(b"}").endswith(b'"')
        return result


def payloads(rng: np.random.Generator, rounds: int) -> Iterator[bytes]:
    """Good, odd and bad base64 of every length that matters."""
    for length in LENGTHS:
        yield base64.b64encode(rng.bytes(length))
    for most in (kernels.MAX_UP_CHARS, kernels.MAX_DOWN_CHARS):
        for chars in (most - 4, most - 1, most, most + 1, most + 4, 2 * most):
            yield base64.b64encode(rng.bytes(chars))[:chars]
        yield b"=" * most
        yield b"\xff" * most
    yield from ODD
    for _ in range(rounds):
        text = bytearray(base64.urlsafe_b64encode(rng.bytes(int(rng.integers(1, 3000)))))
        for _ in range(int(rng.integers(0, 3))):
            text[rng.integers(len(text))] = rng.integers(256)
        yield bytes(text)
        yield rng.bytes(int(rng.integers(0, 700)))


def fuzz_frames(seed: int, rounds: int) -> int:
    """Returns how many calls were made. Raises AssertionError, or what a checked kernel raises."""
    rng = np.random.default_rng(seed)
    calls = 0
    for name in FRAME_KERNELS:
        for head in (b"", b"x", b'{"event":"media","media":{"payload":"', b"h" * kernels.MAX_HEAD):
            bench = Bench(name, head)
            for payload in payloads(rng, rounds):
                before, after = rng.bytes(int(rng.integers(0, 5))), rng.bytes(int(rng.integers(0, 5)))
                bench.call(before + payload + after, len(before), len(before) + len(payload))
                calls += 1
    return calls


SHAPES = [
    (b"", b""),
    (b'{"a":"', b'"}'),
    (b'"n":"\0","p":"', b'"}}'),
    (b"\0", b""),
    (b"\0x\0", b"xx"),
    (b"x" * 600, b"y" * 600),
]


def fuzz_shapes(seed: int, rounds: int) -> int:
    """As `fuzz_frames`, with messages that have the expected shape, or almost, or are cut anywhere."""
    rng = np.random.default_rng(seed)
    calls = 0
    for name in FRAME_KERNELS:
        for before, after in SHAPES:
            bench = Bench(name, b"head", before, after)
            for _ in range(rounds):
                digits = b"".join(b"7" * int(rng.integers(0, 22)) if c == 0 else bytes([c]) for c in before)
                message = bytearray(digits + base64.b64encode(rng.bytes(int(rng.integers(0, 400)))) + after)
                if message and rng.random() < 0.3:
                    message[rng.integers(len(message))] = rng.integers(256)
                whole = bytes(message)
                cut = int(rng.integers(0, len(whole) + 1))
                for data in (whole, whole[:cut], whole[cut:]):
                    bench.call(data, kernels.SHAPED, 0)
                    calls += 1
    return calls


def fuzz_resamplers(seed: int, rounds: int) -> int:
    rng = np.random.default_rng(seed)
    calls = 0
    for rates in resample.RATES:
        work = Workspace()
        floats, out = Guarded(work.floats.nbytes), Guarded(work.out.nbytes)
        work.floats, work.out = floats.bytes.view(np.float32), out.bytes.view(np.int16)
        resampler = PcmResampler(*rates, work)
        random = [int(rng.integers(0, MAX_SAMPLES + 1)) for _ in range(rounds)]
        for length in (*range(100), MAX_SAMPLES - 1, MAX_SAMPLES, *random):
            resampler.process(rng.integers(-32768, 32768, length).astype(np.int16))
            assert floats.intact(), f"{rates} wrote outside its workspace"
            assert out.intact(), f"{rates} wrote outside its output"
            calls += 1
    return calls


def prove_checked() -> None:
    """Raises AssertionError unless the kernels' own indices are checked."""
    payload = base64.b64encode(bytes(160))
    for name, (kernel, sizes_at, _) in FRAME_KERNELS.items():
        # What lies past the slice is there, so that nothing breaks unchecked.
        too_small = Guarded(kernels.WORK)
        try:
            state = np.zeros(sizes_at + kernels.SIZES, np.uint8)
            times = () if kernel is kernels.downlink else (0,)
            kernel(too_small.bytes[: kernels.AUDIO_AT], state, payload, 0, len(payload), *times)
        except IndexError:
            continue
        raise AssertionError(f"{name} was compiled without checks")
    work = Workspace()
    work.out = work.out[:10]
    for rates in ((8000, 16000), (48000, 16000)):
        try:
            PcmResampler(*rates, work).process(np.zeros(960, np.int16))
        except IndexError:
            continue
        raise AssertionError(f"{rates} was compiled without checks")


if __name__ == "__main__":
    if numba.config.BOUNDSCHECK:
        prove_checked()
    seed, rounds = (int(argument) for argument in sys.argv[1:])
    made = sum(fuzz(seed, rounds) for fuzz in (fuzz_frames, fuzz_shapes, fuzz_resamplers))
    sys.stdout.write(f"{made}\n")
