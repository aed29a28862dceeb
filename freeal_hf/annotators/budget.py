"""What a round's annotations took: calls, tokens, cost; and the budget that ends it."""

from dataclasses import dataclass, field

from freeal_hf.errors import BudgetExceeded, InputError


@dataclass(frozen=True)
class Price:
    """What tokens cost, in US dollars per million.

    Args:
        prompt (`float`): Of tokens that are read.
        completion (`float`): Of tokens that are written.
        as_of (`str`, *optional*): Month of the list that it was taken from; `None` for the user's own.
    """

    prompt: float
    completion: float
    as_of: str | None = None

    def __post_init__(self) -> None:
        if not (self.prompt >= 0 and self.completion >= 0):
            raise InputError(f"A price must be zero or more dollars per million tokens, got {self}.")

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Dollars for this many tokens."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


@dataclass
class Ledger:
    """The account of one round.

    An answer counts as a *call*, with its tokens, when it was paid for under this ledger's `owner`: by this process,
    or by an earlier one that was killed and whose answers stand in the cache under the same owner. An answer that
    others paid for (another round, another run that shares the cache) counts as *cached* and costs nothing here. The
    canary's calls are among `calls`; those of a process that was killed stand in no cache, and are not.

    Args:
        owner (`str`, *optional*, defaults to `""`): Who pays, such as `"round-0"`; the same after a restart.
        price (`Price`, *optional*): Price of the annotator's tokens.
        calls (`int`): Answers that were paid for, the canary's among them.
        cached (`int`): Answers that cost nothing, because they stood in the cache or the same text was asked before.
        retries (`int`): Calls made again after a failure, and questions put again after an unusable answer.
        prompt_tokens (`int`): Tokens read for `calls`.
        completion_tokens (`int`): Tokens written for `calls`.
        seconds (`float`): Time spent in the driver by this process.
    """

    owner: str = ""
    price: Price | None = None
    calls: int = 0
    cached: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    _paid: set[bytes] = field(default_factory=set, repr=False, compare=False)
    _ahead: set[bytes] = field(default_factory=set, repr=False, compare=False)

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost(self) -> float | None:
        """Dollars, or `None` where tokens were used whose price is not known."""
        if self.price is None:
            return 0.0 if self.tokens == 0 else None
        return self.price.of(self.prompt_tokens, self.completion_tokens)

    def has(self, key: bytes) -> bool:
        """Whether the answer to this request is among `calls`."""
        return key in self._paid

    def was_recorded_ahead(self, key: bytes) -> bool:
        """Whether the answer to this request was recorded before it was read; true only once per request."""
        found = key in self._ahead
        self._ahead.discard(key)
        return found

    def record(self, key: bytes | None, prompt_tokens: int, completion_tokens: int, *, ahead: bool = False) -> None:
        """Enters an answer that was paid for; a second one to the same request adds tokens and no call.

        Args:
            key (`bytes`, *optional*): The request's key in the cache.
            prompt_tokens (`int`): Tokens read.
            completion_tokens (`int`): Tokens written.
            ahead (`bool`): Whether the answer stands in the cache and has yet to be read.
        """
        if ahead and key is not None:
            self._ahead.add(key)
        self.calls += key is None or key not in self._paid
        if key is not None:
            self._paid.add(key)
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens


@dataclass
class Budget:
    """Limits that end a run before they are passed; share one object between rounds to limit the whole run.

    A text is asked only if what was spent, what is under way and this call together stay below the limits. What a call
    will take is foreseen from the length of its request and the largest answer so far. (The canary's handful of calls
    come before anything can be foreseen: a limit of a few hundred tokens ends the run right after them.)

    Args:
        max_cost (`float`, *optional*): Dollars.
        max_tokens (`int`, *optional*): Tokens, read and written.
        spent_tokens (`int`): Tokens spent by rounds whose ledger this object has not seen, in an earlier process.
        spent_cost (`float`): Dollars spent by them.

    Raises:
        InputError: If a limit is not positive.
    """

    max_cost: float | None = None
    max_tokens: int | None = None
    spent_tokens: int = 0
    spent_cost: float = 0.0
    _ledgers: list[Ledger] = field(default_factory=list, repr=False)
    _tokens_per_character: float = field(default=0.5, repr=False)
    _answer_tokens: int = field(default=16, repr=False)
    _characters: int = field(default=0, repr=False)
    _prompt_tokens: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        for name in ("max_cost", "max_tokens"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise InputError(f"{name} must be above zero, got {limit}.")

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.max_cost is not None or self.max_tokens is not None

    def watch(self, ledger: Ledger) -> None:
        """Counts what is entered in this ledger, now and later, as spent.

        Raises:
            InputError: As `check_price`.
        """
        if not any(ledger is known for known in self._ledgers):
            self._ledgers.append(ledger)
        self.check_price(ledger.price)

    def check_price(self, price: Price | None) -> None:
        """Refuses a limit in dollars that cannot be kept.

        Raises:
            InputError: If there is a `max_cost` but no price.
        """
        if self.max_cost is not None and price is None:
            raise InputError(
                f"max_cost={self.max_cost:g} cannot be checked: the price of this model is unknown. Give it "
                "in a price table (--prices FILE, dollars per million tokens; a server's model is named as in "
                "endpoint:MODEL@URL), or limit tokens with --max-tokens."
            )

    def remaining(self, ledger: Ledger) -> "Budget":
        """The same limits in an object of its own, with all that is spent by now, and in `ledger`, as spent before."""
        ledgers = [*self._ledgers, ledger]
        return Budget(
            max_cost=self.max_cost,
            max_tokens=self.max_tokens,
            spent_tokens=self.spent_tokens + sum(known.tokens for known in ledgers),
            spent_cost=self.spent_cost + sum(known.cost or 0.0 for known in ledgers),
        )

    def foresee(self, characters: int, max_tokens: int | None) -> tuple[int, int]:
        """Tokens that a request will read and write, rather too many than too few.

        Args:
            characters (`int`): Length of the request.
            max_tokens (`int`, *optional*): Most tokens that its answer may have.
        """
        return int(characters * self._tokens_per_character) + 1, max_tokens or self._answer_tokens

    def learn(self, characters: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Takes note of what a request of this many characters took."""
        self._characters += characters
        self._prompt_tokens += prompt_tokens
        if self._characters:
            self._tokens_per_character = 1.1 * self._prompt_tokens / self._characters
        self._answer_tokens = max(self._answer_tokens, completion_tokens)

    def check(self, price: Price | None, prompt_tokens: int, completion_tokens: int) -> None:
        """Refuses a call that might pass a limit.

        Args:
            price (`Price`, *optional*): Price of the call's tokens.
            prompt_tokens (`int`): Tokens foreseen for the calls under way and this one.
            completion_tokens (`int`): Likewise.

        Raises:
            BudgetExceeded: If a limit might be passed.
        """
        tokens = self.spent_tokens + sum(ledger.tokens for ledger in self._ledgers)
        if self.max_tokens is not None and tokens + prompt_tokens + completion_tokens > self.max_tokens:
            raise BudgetExceeded(
                f"The budget max_tokens={self.max_tokens} allows no further call: {tokens} tokens are spent, and the "
                f"next calls may take {prompt_tokens + completion_tokens}. All answers are kept; the same command "
                "with a higher limit continues."
            )
        if self.max_cost is None or price is None:
            return
        spent = self.spent_cost + sum(ledger.cost or 0.0 for ledger in self._ledgers)
        if spent + price.of(prompt_tokens, completion_tokens) > self.max_cost:
            raise BudgetExceeded(
                f"The budget max_cost=${self.max_cost:g} allows no further call: ${spent:.4f} is spent. All answers "
                "are kept; the same command with a higher limit continues."
            )
