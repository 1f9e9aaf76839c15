# SPDX-License-Identifier: Apache-2.0
"""How long addresses were asked for in vain, and whether that was longer than is allowed at the time."""
import collections

Budget = collections.namedtuple("Budget", "begin end seconds what")  # seconds None: nobody can answer meanwhile


class Waits:
    """The wait of a question ends with the first answer to it or to a later one."""

    def __init__(self, budgets):
        self.budgets = [Budget(**budget) for budget in budgets]
        self.pending = collections.defaultdict(collections.deque)  # address -> when it was asked for, unanswered
        self.longest = {}  # what was under way -> (seconds, address)
        self.wrong = []    # (time, address, text)

    def ask(self, time, address):
        self.pending[address].append(time)

    def answer(self, asked, time, address):
        pending = self.pending[address]
        first = pending[0] if pending else time
        while pending and pending[0] <= asked:
            pending.popleft()
        if first <= asked:
            self.over(first, time, address)

    def end(self, time):
        for address, pending in self.pending.items():
            if pending:
                self.over(pending[0], time, address)

    def over(self, begin, end, address):
        meanwhile = [b for b in self.budgets if b.begin < end and b.end > begin]
        budgets = [b for b in meanwhile if b.seconds is not None]
        if not budgets:
            return
        most = max(budgets, key=lambda budget: budget.seconds)
        seconds = end - begin - sum(min(end, b.end) - max(begin, b.begin) for b in meanwhile if b.seconds is None)
        self.longest[most.what] = max(self.longest.get(most.what, (0, "")), (seconds, address))
        if seconds > most.seconds:
            self.wrong.append((begin, address, f"asked for in vain for {seconds:.3f} s, and {most.seconds:g} s are allowed: {most.what}"))
