"""Calls, tokens and cost of the annotations of a round, and the budget that limits them."""

from dataclasses import dataclass, field

from freeal_hf.errors import BudgetExceeded, InputError


@dataclass(frozen=True)
class Price:
    """Price of tokens, in US dollars per million.

    Args:
        prompt (`float`): Price of input tokens.
        completion (`float`): Price of output tokens.
        cached (`float`, *optional*): Price of input tokens that the server reads from its prompt cache; by default
            `prompt`.

    Raises:
        InputError: If a price is negative.

    Example:

        >>> Price(prompt=0.15, completion=0.60).of(prompt_tokens=2_000_000, completion_tokens=100_000)
        0.36
    """

    prompt: float
    completion: float
    cached: float | None = None

    def __post_init__(self) -> None:
        if not (self.prompt >= 0 and self.completion >= 0 and (self.cached is None or self.cached >= 0)):
            raise InputError(f"{self} is negative; give zero or more dollars per million tokens.")

    def of(self, prompt_tokens: float, completion_tokens: float, cached_tokens: float = 0) -> float:
        """Returns the price in dollars of input tokens, some of them from the prompt cache, and output tokens."""
        saved = 0.0 if self.cached is None else cached_tokens * (self.prompt - self.cached)
        return (prompt_tokens * self.prompt + completion_tokens * self.completion - saved) / 1e6


@dataclass
class Ledger:
    """Counts calls, tokens and seconds of one round.

    An answer counts as a *call*, with its tokens, if it was paid for under the `owner` of this ledger: by this
    process, or by an earlier process that was killed, whose answers are in the cache under the same owner. An answer
    that others paid for (another round, another run that shares the cache) counts as *cached* and costs nothing here.
    The calls with which an annotator tests its server are included in `calls`. Those of a process that was killed are
    not in the cache, and are not counted.

    Args:
        owner (`str`, *optional*, defaults to `""`): Who pays, such as `"round-0"`; the same after a restart.
        price (`Price`, *optional*): Price of the annotator's tokens.
        calls (`int`): Answers that were paid for, including those of tests of the server.
        cached (`int`): Answers that cost nothing, because they are in the cache or the same request was sent before.
        retries (`int`): Calls that were repeated after a failure or an unusable answer.
        prompt_tokens (`int`): Input tokens of `calls`.
        completion_tokens (`int`): Output tokens of `calls`.
        cached_tokens (`int`): Input tokens of `calls` that the server read from its prompt cache.
        discounts (`float`): Dollars that are not charged for `calls`, because they were sent in a batch.
        seconds (`float`): Time of this process in the driver.

    Example:

        >>> ledger = Ledger(price=Price(prompt=1.0, completion=2.0))
        >>> ledger.record(b"key of a request", prompt_tokens=500_000, completion_tokens=1000)
        >>> ledger.calls, ledger.tokens, ledger.cost
        (1, 501000, 0.502)
    """

    owner: str = ""
    price: Price | None = None
    calls: int = 0
    cached: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    discounts: float = 0.0
    seconds: float = 0.0
    _paid: set[bytes] = field(default_factory=set, repr=False, compare=False)
    _ahead: set[bytes] = field(default_factory=set, repr=False, compare=False)

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost(self) -> float | None:
        """The cost in dollars; `None` if tokens were used and their price is not known."""
        if self.price is None:
            return 0.0 if self.tokens == 0 else None
        return self.price.of(self.prompt_tokens, self.completion_tokens, self.cached_tokens) - self.discounts

    def has(self, key: bytes) -> bool:
        """Whether `calls` includes the answer to this request."""
        return key in self._paid

    def was_recorded_ahead(self, key: bytes) -> bool:
        """Whether the answer to this request was recorded before it was read; true only once per request."""
        found = key in self._ahead
        self._ahead.discard(key)
        return found

    def record(
        self,
        key: bytes | None,
        prompt_tokens: int,
        completion_tokens: int,
        *,
        cached_tokens: int = 0,
        discount: float = 0.0,
        ahead: bool = False,
    ) -> None:
        """Records an answer that was paid for. A second answer to the same request adds tokens, but no call.

        Args:
            key (`bytes`, *optional*): The request's key in the cache.
            prompt_tokens (`int`): Input tokens.
            completion_tokens (`int`): Output tokens.
            cached_tokens (`int`): Input tokens that the server read from its prompt cache.
            discount (`float`): Share of the price that is not charged.
            ahead (`bool`): Whether the answer is in the cache and has not been read yet.
        """
        if ahead and key is not None:
            self._ahead.add(key)
        self.calls += key is None or key not in self._paid
        if key is not None:
            self._paid.add(key)
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        self.cached_tokens += cached_tokens
        if discount and self.price is not None:
            self.discounts += discount * self.price.of(prompt_tokens, completion_tokens, cached_tokens)


@dataclass
class Budget:
    """Limits of dollars and tokens. A run ends before it exceeds them. Rounds that share one object share its limits.

    A call is made only if it, all previous calls and all active calls together stay within the limits. The tokens of a
    call are estimated from the length of its request and the longest answer so far. The calls with which an annotator
    tests its server are made before any estimate: with a limit of a few hundred tokens, the run ends after them.

    Args:
        max_cost (`float`, *optional*): Maximum cost in dollars.
        max_tokens (`int`, *optional*): Maximum number of input and output tokens.
        spent_tokens (`int`): Tokens of rounds in an earlier process, which are in no ledger of this object.
        spent_cost (`float`): Dollars of these rounds.

    Raises:
        InputError: If a limit is not positive.

    Example:

        >>> budget = Budget(max_tokens=100)
        >>> budget.check(None, prompt_tokens=90, completion_tokens=20)
        Traceback (most recent call last):
        freeal_hf.errors.BudgetExceeded: The budget max_tokens=100 allows no further call: 0 tokens are spent, ...
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
                raise InputError(f"{name} is {limit}; it must be above zero.")

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.max_cost is not None or self.max_tokens is not None

    def watch(self, ledger: Ledger) -> None:
        """Counts all current and later calls in a ledger as spent.

        Raises:
            InputError: As `check_price`.
        """
        if not any(ledger is known for known in self._ledgers):
            self._ledgers.append(ledger)
        self.check_price(ledger.price)

    def check_price(self, price: Price | None) -> None:
        """Refuses a limit in dollars if the price is not known.

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
        """Returns a new object with the same limits, in which everything in the ledgers and in `ledger` is spent."""
        ledgers = [*self._ledgers, ledger]
        return Budget(
            max_cost=self.max_cost,
            max_tokens=self.max_tokens,
            spent_tokens=self.spent_tokens + sum(known.tokens for known in ledgers),
            spent_cost=self.spent_cost + sum(known.cost or 0.0 for known in ledgers),
        )

    def foresee(self, characters: int, max_tokens: int | None) -> tuple[int, int]:
        """Estimates the input and output tokens of a request. The estimate tends to be too high.

        Args:
            characters (`int`): Length of the request.
            max_tokens (`int`, *optional*): Maximum number of tokens of the answer.
        """
        return int(characters * self._tokens_per_character) + 1, max_tokens or self._answer_tokens

    def learn(self, characters: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Updates the estimate with the tokens of a call and the number of characters of its request."""
        self._characters += characters
        self._prompt_tokens += prompt_tokens
        if self._characters:
            self._tokens_per_character = 1.1 * self._prompt_tokens / self._characters
        self._answer_tokens = max(self._answer_tokens, completion_tokens)

    def check(self, price: Price | None, prompt_tokens: int, completion_tokens: int) -> None:
        """Refuses a call that might exceed a limit.

        Args:
            price (`Price`, *optional*): Price of the call's tokens.
            prompt_tokens (`int`): Estimated input tokens of the active calls and this one.
            completion_tokens (`int`): Estimated output tokens of the active calls and this one.

        Raises:
            BudgetExceeded: If a limit might be exceeded.
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
