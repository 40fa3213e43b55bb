"""The instruction set that a process computes with, and that of the next smaller kind of machine, which this one can
imitate. `python tests/instructions.py` prints the first; `... COMMAND` runs a command with the second."""

from __future__ import annotations

import os
import sys

from genlab.engine import threads

SMALLER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
"""Limits for a machine with AVX-512; MKL obeys its limit only on Intel processors."""
SMALLEST = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}


def imitation(capability: str, processor: str) -> dict[str, str]:
    """Environment variables that make a machine of that capability compute as a smaller one does."""
    if not capability.startswith("AVX512"):
        return SMALLEST
    return {name: value for name, value in SMALLER.items() if not name.startswith("MKL") or "Intel" in processor}


def words() -> str:
    facts = threads.instructions()
    return ", ".join(
        [
            f"capability {facts['capability']}",
            f"bfloat16 in oneDNN: {facts['onednn_bfloat16']}",
            f"limits: {facts['limits'] or 'none'}",
        ]
    )


def main() -> None:
    if len(sys.argv) == 1:
        print(f"instructions: {words()}", flush=True)
        return
    chosen = imitation(threads.instructions()["capability"], threads.processor())
    print("imitation: " + " ".join(f"{name}={value}" for name, value in chosen.items()), flush=True)
    os.execvpe(sys.argv[1], sys.argv[1:], {**os.environ, **chosen})


if __name__ == "__main__":
    main()
