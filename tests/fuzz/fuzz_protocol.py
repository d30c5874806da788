"""Long runs with coverage guidance: `.venv/bin/python -m tests.fuzz.fuzz_protocol CORPUS_DIR`; needs `atheris`.

Not part of CI; the same function runs there with a seeded driver (tests/protocol/test_fuzz.py).
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run until stopped."""
    import atheris

    with atheris.instrument_imports(include=["protocol"]):
        from tests.fuzz.exercise import exercise, explain

    def one(data: bytes) -> None:
        exercise(data)
        explain(data)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
