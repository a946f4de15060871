"""The audit as a user meets it: options, exit codes, what it writes."""

import json
from dataclasses import replace

import pytest

from apex_trader.audit import main, parse
from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.serial import SerialRun
from apex_trader.runtime.session import Session

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def run(overrides, tmp_path_factory):
    """A trained run's folder: two updates."""
    settings = ["train.updates=2", "train.threads=1", "seed=3"]
    config = compose_config([*overrides, *settings])
    config = replace(config, replay=replace(config.replay, min_size=64))
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "tiny")
    data = MarketData(config, folder)
    with Session(config, folder, data.schema) as session:
        SerialRun(config, data, session).run()
    return folder


@pytest.fixture
def audited(run, small):
    """The same folder, with an audit of its own in it."""
    if not (run.path / "audit.json").exists():
        assert main([f"run={run.path}", "probe_days=1", "days=1"]) == 0
    return run


def test_a_trained_run_has_no_hole_and_says_so_for_machines(run, tmp_path, capsys):
    code = main([f"run={run.path}", "probe_days=1", "days=1", "--json", str(tmp_path / "out.json")])
    printed = capsys.readouterr().out
    assert code == 0, printed
    found = json.loads((run.path / "audit.json").read_text())
    assert found == json.loads((tmp_path / "out.json").read_text())
    assert found["holes"] == []
    assert found["required"] == found["delivered"] == 2398
    assert "2,398 market features required, 2,398 delivered" in printed
    assert "few steps only" not in printed


def test_a_run_of_another_experiment_is_refused(run, capsys):
    assert main(["+experiment=eth_minutes", f"run={run.path}"]) == 2
    assert "is a run of eth_full, not of eth_minutes" in capsys.readouterr().err


def test_the_experiment_that_a_run_was_made_from_is_no_change_of_it():
    request = parse(["+experiment=eth_full", "run=x", "trading.fee=0"])
    assert request.experiment == ["+experiment=eth_full"]
    assert request.changes == ["trading.fee=0"]
    assert parse(["+experiment=eth_full", "run=x"]).changes == []


def test_the_extractor_audited_is_the_runs_own(audited):
    found = json.loads((audited.path / "audit.json").read_text())
    version = next(p for p in found["probes"] if p["connection"].startswith("extractor → version"))
    assert [path.stem[:12] for path in audited.extractors.glob("*.pt")] == [version["effect"]]


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("[pivots]", ["pivots: 250 features are left out"]),
        (
            "[cnn_hidden,cnn_predictions]",
            [
                "cnn_hidden: 512 features are left out",
                "cnn_predictions: 16 features are left out",
                "hole: cnn_predictions → reward.cnn_potential",
            ],
        ),
    ],
)
def test_a_run_asked_about_another_state_names_what_would_be_missing(
    audited, without, said, capsys
):
    """With nothing else changed, whatever the run is rewarded for; the run's own audit stays."""
    own = (audited.path / "audit.json").read_bytes()
    code = main([f"run={audited.path}", "probe_days=1", "days=1", f"state.without={without}"])
    printed = capsys.readouterr().out
    assert code == 1, printed
    for text in said:
        assert text in printed
    assert "trained on another state" in printed
    assert (audited.path / "audit.json").read_bytes() == own


@pytest.mark.parametrize(
    ("without", "features"),
    [(("cnn_hidden", "cnn_predictions"), 528), (("pivots",), 250)],
)
def test_blocks_left_out_are_holes(bench, without, features):
    state = replace(bench.config.state, without=without)
    reward = replace(bench.config.reward, cnn_potential=0.0)
    findings = bench.audit(replace(bench.config, state=state, reward=reward), agent=False)
    for name in without:
        assert any(hole.startswith(f"{name}: ") for hole in findings.holes)
    assert findings.market_size - findings.delivered == features
    assert len(findings.holes) == len(without)


def test_a_market_without_reference_cannot_provide_it(bench):
    market = replace(bench.config.market, reference="")
    findings = bench.audit(replace(bench.config, market=market), agent=False)
    assert findings.holes == []
    lacking = {name.partition(".")[0] for name in findings.lacking}
    assert lacking == {f"reference_{c}" for c in ("1s", "1m", "1h", "1d")} | {"regime"}
    assert findings.cannot_provide == 4 * 32 * 2 + 2
    assert findings.delivered + findings.cannot_provide == findings.market_size


def test_weights_set_to_0_are_listed_as_switched_off(bench):
    reward = replace(bench.config.reward, duration=0.0, pivot_potential=0.0)
    findings = bench.audit(replace(bench.config, reward=reward))
    off = [p.connection for p in findings.probes if p.status == "off"]
    assert "reward.duration → reward" in off
    assert "reward.pivot_potential → TD error" in off
    assert findings.holes == []


def test_help_explains_and_ends_well(capsys):
    assert main(["--help"]) == 0
    assert "run=DIR" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["run=nowhere"], ["--jsonn", "x"], ["--json"], ["days=0"], ["learner.bach_size=2"],
     ["market.store=nowhere"]],
)  # fmt: skip
def test_what_cannot_be_used_ends_with_2(arguments, capsys):
    assert main(arguments) == 2
    assert "error:" in capsys.readouterr().err


def test_the_audits_own_words_are_not_settings():
    request = parse(["+experiment=quickstart", "json=a.json", "days=3", "run=b", "seed=1"])
    assert request.overrides == ["+experiment=quickstart", "seed=1"]
    assert (request.json, request.days, request.run) == ("a.json", 3, "b")


def test_days_are_whole_numbers():
    with pytest.raises(ConfigError, match="whole number of days"):
        parse(["days=many"])
    with pytest.raises(ApexError, match="--json needs a file"):
        parse(["--json"])
