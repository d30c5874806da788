"""A bus that answers from a list, for what a driver asks and makes of the answers."""

from __future__ import annotations

from drivers.driver import Request
from drivers.errors import DriverError


class Script:
    """Answers in their order; the requests it saw are kept. Each answer has to be one to its request."""

    def __init__(self, *answers: bytes | DriverError) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []

    def ask(self, request: Request) -> bytes:
        self.asked.append(request.data)
        answer = self.answers.pop(0)
        if isinstance(answer, DriverError):
            raise answer
        assert request.length(answer) == len(answer)
        request.check(answer)
        return answer
