"""The audience's part of campaign.toml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict


class Section(BaseModel):
    """A table of campaign.toml: frozen, strictly typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# TOML arrays arrive as lists; their items stay strictly typed.
Strings = Annotated[tuple[str, ...], Strict(strict=False)]
Value = str | int | float | bool


class AudienceSpec(Section):
    """`[audience]`: the file(s) a campaign is sent to, and which of their rows."""

    source: str = Field(description="path or glob from the workspace", min_length=1)
    address: str = Field(default="email", description="column of the address", min_length=1)
    where: str | None = Field(
        default=None, description="SQL condition on the columns, such as country = 'VN' AND points > 100"
    )
    required: Strings = Field(default=(), description="columns that must not be blank, unless they have a default")
    defaults: dict[str, Value] = Field(default_factory=dict, description="column -> value where it is blank")


class SuppressionSpec(Section):
    """`[suppression]`: who must not be mailed."""

    files: Strings = Field(default=(), description="files of addresses that must not be mailed")
    topic: str | None = Field(default=None, description="the topic of this campaign, for opt-outs by topic")
