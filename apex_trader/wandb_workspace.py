"""Build the project's W&B workspace: the views Training, Replay health, Evaluation and System.

    python -m apex_trader.wandb_workspace project=apex-trader entity=TEAM
    python -m apex_trader.wandb_workspace project=apex-trader entity=TEAM save=views.json

project  the W&B project, wandb.project of its runs (default: apex-trader)
entity   the user or team that it belongs to (default: that of the login)
save     a file for the views, as JSON; nothing is sent then, and no login is needed

Each call adds the four views anew; views that are no longer wanted are deleted in W&B itself.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.command import run_command
from apex_trader.runtime.wandb_views import VIEWS, workspaces


@dataclass
class Request:
    """What the user asked for; see the module's help."""

    project: str = "apex-trader"
    entity: str = ""
    save: str = ""

    @classmethod
    def parse(cls, arguments: list[str]) -> Request:
        """From the command line. Raises ApexError for what is not understood."""
        request = cls()
        for argument in arguments:
            name, found, value = argument.partition("=")
            if not found or name not in vars(request):
                raise ApexError(
                    f"{argument!r} is not understood: write project=…, entity=… or save=FILE "
                    "(--help explains)"
                )
            setattr(request, name, value)
        if not request.project:
            raise ConfigError("project", request.project, "the name of a W&B project")
        return request


def main() -> None:
    """The command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    sys.exit(run_command(lambda: _run(sys.argv[1:])))


def _run(arguments: list[str]) -> None:
    request = Request.parse(arguments)
    if request.save:
        _save(request)
        return
    _require_login()
    entity = request.entity or _own_entity()
    for view in workspaces(entity, request.project):
        try:
            view.save()
        except Exception as error:  # W&B's client raises whatever its transport does
            raise ApexError(
                f"W&B did not take the view {view.name!r} of {entity}/{request.project}: {error}. "
                "Is the project there, and may this login write to it?"
            ) from None
        print(f"{view.name}: {view.url}")


def _save(request: Request) -> None:
    """Write the views as W&B would be sent them."""
    specifications = [
        view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
        for view in workspaces(request.entity, request.project)
    ]
    path = Path(request.save).expanduser()
    try:
        path.write_text(json.dumps(specifications, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ApexError(f"save={path} cannot be written: {error.strerror or error}") from None
    print(f"{len(VIEWS)} views: {path}")


def _require_login() -> None:
    """ApexError without an API key; never a prompt."""
    import wandb

    if not wandb.login(prompt=False):
        raise ApexError(
            "nobody is logged in to W&B: run `wandb login` or export WANDB_API_KEY; save=FILE "
            "writes the views without a login"
        )


def _own_entity() -> str:
    """The login's own entity."""
    import wandb

    entity = wandb.Api().default_entity
    if not entity:
        raise ConfigError("entity", entity, "the user or team that the project belongs to")
    return str(entity)


if __name__ == "__main__":
    main()
