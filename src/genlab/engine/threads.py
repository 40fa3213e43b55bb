"""Torch's threads in this process: how many, on which cores, how they wait, how they compute, and the memory they free.

A layer of a small network takes a tenth of a millisecond, and threads synchronise after each layer. If something else
runs on the machine, a thread that sleeps or is moved makes all others wait: measured beside one spinning process, a
step took 5 times as long as on an idle machine if threads were free to move, and 2 times if each had its own core;
beside another training on two threads, 26 and 3 times (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")
"""Environment variables that keep a library from using instructions that the processor has."""
OPENMP = ("libgomp", "libomp", "libiomp5")
_AT_FIRST = torch.get_num_threads()
"""Number of threads before any run has set its own: all cores, or OMP_NUM_THREADS."""
_TASKS = Path("/proc/self/task")
MOST = 8
"""Small networks gain nothing from more threads."""


def allowed() -> list[int]:
    """The cores that this process may use; only their number counts if the system does not tell which."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def most_threads() -> int:
    """Number of threads to use: one per available core, at most `MOST`."""
    return min(len(allowed()), _AT_FIRST, MOST)


@contextmanager
def all_threads() -> Iterator[None]:
    """Within the context, torch uses `most_threads` threads, whatever a run has set; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(most_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def pinned() -> Iterator[None]:
    """Within the context, each of torch's threads has its own core, if they need all available cores.

    If there are cores to spare, or on any system but Linux, the system places threads. No result depends on it.
    """
    cores, threads = allowed(), torch.get_num_threads()
    workers = _workers(threads - 1) if sys.platform == "linux" and 1 < threads == len(cores) else []
    if not workers:
        yield
        return
    before = _run_times()
    try:
        for task, core in zip([os.getpid(), *workers], cores, strict=True):
            _bind(task, {core})
        yield
    finally:
        # Threads started meanwhile have inherited the core of the thread that started them.
        for task in {os.getpid(), *workers, *_run_times().keys() - before.keys()}:
            _bind(task, set(cores))


@contextmanager
def of_training(flushed: bool = True) -> Iterator[None]:
    """Within the context, torch's threads are placed and compute as in a training (see `pinned`, `denormals`)."""
    with pinned(), denormals(flushed):
        yield


@contextmanager
def denormals(flushed: bool) -> Iterator[None]:
    """Within the context, torch's threads take each denormal number (below 1.2e-38) for 0, if `flushed`.

    A processor needs some hundred cycles for an operation on a denormal number. Once gradients have vanished, most of
    them are denormal: such a training took 16 times as long with them (docs/performance.md). Does nothing if
    `can_flush` is false.
    """
    if not flushed or not can_flush():
        yield
        return
    before = _flushes()
    _flush(True)
    try:
        yield
    finally:
        _flush(before)


@cache
def can_flush() -> bool:
    """Whether all of torch's threads can be made to take denormal numbers for 0."""
    return bool(_pools()) and torch.set_flush_denormal(_flushes())


def _flushes() -> bool:
    """Whether this thread takes denormal numbers for 0 now."""
    return float(torch.tensor(1e-30) * 1e-10) == 0


def _flush(on: bool) -> None:
    """Set how this thread and each of torch's workers treats denormal numbers.

    Torch can set it only in the thread that asks. That thread's floating-point settings are therefore handed to all
    workers: each runs C's `fesetenv` on them, in a parallel section of the OpenMP runtime that torch uses.
    """
    torch.set_flush_denormal(on)
    environment = ctypes.create_string_buffer(256)  # fenv_t has at most 32 bytes in glibc.
    library = ctypes.CDLL("libm.so.6")
    library.fegetenv(environment)
    for pool in _pools():
        work = ctypes.cast(library.fesetenv, ctypes.c_void_p)
        pool.GOMP_parallel(work, environment, max(torch.get_num_threads(), most_threads()), 0)


def _pools() -> list[ctypes.CDLL]:
    """The OpenMP runtimes that this process has loaded; none if they, or the C library, are of another kind."""
    if sys.platform != "linux":
        return []
    try:
        ctypes.CDLL("libm.so.6")
        mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text("utf-8").splitlines() if "omp" in line}
        loaded = [ctypes.CDLL(path) for path in sorted(mapped) if Path(path).name.startswith(OPENMP)]
    except OSError:
        return []
    return [pool for pool in loaded if hasattr(pool, "GOMP_parallel")]


def _bind(task: int, cores: set[int]) -> None:
    with suppress(OSError):  # A thread that has ended, or a container that forbids it: it stays where it is.
        os.sched_setaffinity(task, cores)


def _workers(number: int) -> list[int]:
    """Torch's worker threads, without the one that calls it, found by letting them work; none if unsure."""
    x = torch.ones(256, 256)
    before, start = _run_times(), time.perf_counter()
    while time.perf_counter() - start < 0.03:
        x @ x
    worked = {task: ran - before.get(task, 0) for task, ran in _run_times().items() if task != os.getpid()}
    busiest = sorted(worked, key=worked.__getitem__, reverse=True)[:number]
    clear = len(busiest) == number and all(worked[task] > 2e6 for task in busiest)
    return busiest if clear else []


def _run_times() -> dict[int, int]:
    """Nanoseconds that each thread of this process has run."""
    found = {}
    for task in _TASKS.iterdir():
        with suppress(OSError, ValueError, IndexError):
            found[int(task.name)] = int((task / "schedstat").read_text("ascii").split()[0])
    return found


def keep_memory() -> None:
    """Let glibc keep freed memory instead of giving it back after every tensor, which costs thousands of page faults
    per step. Does nothing with another C library."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def processor() -> str:
    """The processor's name, as the operating system gives it."""
    import platform

    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def instructions() -> dict[str, str]:
    """The instruction sets that this process computes with. They determine speed and rounding, which a processor's name
    does not ("AMD EPYC" names machines with and without AVX-512).

    Returns:
        `capability`: that of PyTorch's own loops (DEFAULT, AVX2, AVX512, ...; ATEN_CPU_CAPABILITY limits it).
        `onednn_bfloat16`: whether oneDNN has kernels for bfloat16 (yes, no, or unknown to this PyTorch).
        `limits`: which of `LIMITS` are set, and to what; usually empty.
    """
    try:
        bfloat16 = "yes" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "no"
    except (AttributeError, RuntimeError):
        bfloat16 = "unknown"
    return {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "onednn_bfloat16": bfloat16,
        "limits": " ".join(f"{name}={os.environ[name].upper()}" for name in LIMITS if os.environ.get(name)),
    }
