"""What a call asks for, and what it must get: both sides compute it from the order, which is the name of the model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

# Words of an answer: of several scripts, with what JSON escapes.
WORDS = ("plain", "naïve", "中文", "🙂", 'quoted"', "back\\slash", "tab\t", "line\n", "</tag>", "\u2028")

# The file that is sent as a blob: this one.
FILE = Path(__file__)
DIGEST = f"sha256:{hashlib.sha256(FILE.read_bytes()).hexdigest()}"


@dataclass(frozen=True)
class Order:
    """Call `number`: an answer of `words` pieces, each with `filler` more letters, to which the server does `fault`.

    >>> Order(41, "cut", 3).model
    'soak/41/cut/3/0/m'
    >>> Order.read("soak/41/cut/3/0/m") == Order(41, "cut", 3)
    True
    >>> Order(7, "none", 2).pieces
    ['7.0 plain ', '7.1 naïve ']
    """

    number: int
    fault: str
    words: int
    filler: int = 0

    @property
    def model(self) -> str:
        return f"soak/{self.number}/{self.fault}/{self.words}/{self.filler}/m"

    @classmethod
    def read(cls, model: str) -> Order:
        _, number, fault, words, filler, _ = model.split("/")
        return cls(int(number), fault, int(words), int(filler))

    @property
    def pieces(self) -> list[str]:
        filler = "x" * self.filler
        return [f"{self.number}.{n} {WORDS[n % len(WORDS)]}{filler} " for n in range(self.words)]

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def steps(self) -> list[str]:
        """The reports of a transfer."""
        return [*(f"step {self.number}.{n}" for n in range(self.words)), "success"]

    @property
    def inputs(self) -> list[str]:
        """The texts of which a call wants vectors."""
        return [f"{self.number}.{n}" for n in range(1 + self.words % 4)]
