"""What a stranger types: right, it becomes a configuration; wrong, one line that says what is."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.compose import (
    CONF,
    check_overrides,
    compose_config,
    load_config,
    plain,
    register,
    run_dir,
    save_config,
    typed,
)
from apex_trader.runtime.config import Config, StateConfig, check_blocks
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.time import CLOCKS, SECOND

QUICK = "+experiment=quickstart"

MISTAKES = [
    ("+experiment=quikstart", ["experiment='quikstart'", "did you mean quickstart?"]),
    ("experiment=quickstart", ["needs a plus", "+experiment=quickstart"]),
    ("+experiment=", ["there are:", "quickstart"]),
    ("learner.batchsize=3", ["learner.batchsize=3", "did you mean learner.batch_size"]),
    ("+learner.batchsize=3", ["did you mean learner.batch_size"]),
    ("learner.batch_size=abc", ["learner.batch_size='abc'", "a whole number"]),
    ("learner.batch_size=-1", ["learner.batch_size=-1", "at least 1"]),
    ("learner.batch_size=64", ["replay.batch_size=512", "learner.batch_size=64"]),
    ("learner=3", ["learner=3", "a group of settings", "learner.batch_size"]),
    ("network.encoder={wdth: 3}", ["network.encoder.wdth=3", "did you mean network.encoder.width"]),
    ("network.encoder.width=0", ["network.encoder.width=0", "at least 1"]),
    ("cnn.stack.channels=[1]", ["cnn.stack.channels=(1,)", "for each of cnn.stack.strides"]),
    ("seed=x", ["seed='x'", "a whole number"]),
    ("seed=-1", ["seed=-1", "0 or more"]),
    ("seed=1,2", ["several values", "-m"]),
    ("trading.fee=-1", ["trading.fee=-1", "0 to 0.1"]),
    ("trading.lot_size=x", ["trading.lot_size='x'", "a number or null"]),
    ("state.schema=eth_ful", ["state.schema='eth_ful'", "one of eth_full, eth_minutes"]),
    ("state.without=[cnn_hiden]", ["state.without='cnn_hiden'", "cnn_hidden"]),
    ("state.decide_every=7", ["state.decide_every=7", "divides 30 s"]),
    ("state={window: 8, decide_every: 7}", ["state.window=8", "16 to 4096"]),
    ("state.decide_every=0.5", ["state.decide_every=0.5", "a multiple of 1 s"]),
    ("state.decide_every=-5", ["state.decide_every=-5.0", "seconds, or 0"]),
    ("state.without=[ticks,primary_1s,reference_1s]", 
     ["state.without=", "cnn_hidden and cnn_predictions left out too", "30 s ahead"]),
    ("state.without=[ticks,primary_1s,reference_1s,cnn_hidden,cnn_predictions]",
     ["state.decide_every=0.0", "a multiple of 60 s that divides 86400 s, a day"]),
    ("state={schema: eth_minutes, decide_every: 600}", ["divides 300 s, the CNN's"]),
    ("state.without=regime", ["state.without='regime'", "[first,second]"]),
    ("reward.duration_edges=[1,a]", ["reward.duration_edges", "a list of whole numbers"]),
    ("market=eth", ["market='eth'", "market.store"]),
    ("periods.start=2024-13-01", ["periods.start='2024-13-01'", "2024-08-08"]),
    ("execution.latency=60", ["execution.max_fill_wait", "decision interval"]),
    ("foo", ["'foo' is not understood", "name=value"]),
    ("=3", ["'=3' is not understood"]),
    ("learner.batch_size", ["is not understood"]),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "said"), MISTAKES, ids=[m for m, _ in MISTAKES])
def test_a_mistake_is_one_line_with_the_field_the_value_and_what_is_allowed(mistake, said):
    with pytest.raises(ApexError) as caught:
        check_overrides([mistake])
    text = str(caught.value)
    assert "\n" not in text
    for part in said:
        assert part in text


@pytest.mark.parametrize("seconds", [60, 3600])
def test_decisions_follow_the_clocks_and_the_cnn_that_are_left(seconds):
    """On minutes and without a CNN an hour will do; 30 s, of the seconds left out, will not."""
    left_out = ("ticks", "primary_1s", "reference_1s", "cnn_hidden", "cnn_predictions")
    schema = StateConfig(without=left_out, decide_every=seconds).build()
    assert (schema.decision_interval, schema.fast_clock) == (seconds * SECOND, "1m")
    for refused in (30, 7 * 60):
        with pytest.raises(ConfigError, match=r"state\.decide_every=.*a multiple of 60 s"):
            StateConfig(without=left_out, decide_every=refused)


def test_a_state_without_any_bars_is_refused():
    blocks = [b.name for b in StateConfig(schema="eth_minutes").build().blocks if b.clock in CLOCKS]
    with pytest.raises(ConfigError, match=r"state\.without=.*clock of bars left"):
        StateConfig(schema="eth_minutes", without=tuple(blocks))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [QUICK],
        [QUICK, "seed=3", "runtime=serial", "hydra.run.dir=/somewhere"],
        ["-m", QUICK, "seed=1,2,3", "trading.fee=0,0.0002"],
        ["--help"],
        ["--cfg", "job", "seed=1"],
        ["learner.batch_size=64", "replay.batch_size=64"],
        ["learner={batch_size: 64}", "replay.batch_size=64"],
        ["market.parameters={days: 3, anything: 1}"],
        ["+market.parameters.days=3"],
        ["state.without=[regime,pivots]"],
    ],
)
def test_a_right_command_line_passes(arguments):
    check_overrides(arguments)


def test_every_value_of_a_sweep_is_checked():
    with pytest.raises(ApexError, match="seed='x'"):
        check_overrides(["-m", QUICK, "seed=1,2,x"])
    with pytest.raises(ApexError, match="did you mean quickstart"):
        check_overrides(["-m", "+experiment=quickstart,quikstart"])


def test_options_that_run_nothing_still_hear_of_a_mistyped_setting():
    with pytest.raises(ApexError, match=r"did you mean learner\.batch_size"):
        check_overrides(["--cfg", "job", "learner.batchsize=3"])


def test_without_overrides_every_default_is_the_dataclasses_own():
    assert compose_config([]) == Config()


def test_overrides_win_over_the_experiment_and_it_over_defaults():
    config = compose_config([QUICK, "train.updates=7"])
    assert config.train.updates == 7
    assert config.name == "quickstart"
    assert config.market.synthetic
    assert config.trading == Config().trading


def test_the_generators_parameters_are_free():
    config = compose_config([QUICK, "market.parameters={days: 9, half_life: 60}"])
    assert config.market.parameters["half_life"] == 60


@pytest.fixture
def run(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path)
    save_config(folder, compose_config([QUICK, "network.encoder.stack.strides=[10,5]"]))
    return folder


def test_a_saved_configuration_is_read_back_the_same(run):
    assert load_config(run) == compose_config([QUICK, "network.encoder.stack.strides=[10,5]"])


def test_a_saved_configuration_takes_changes(run):
    changed = load_config(run, ["train.updates=9", "trading.fee=0.0005"])
    assert (changed.train.updates, changed.trading.fee) == (9, 0.0005)
    assert changed.learner == load_config(run).learner


def test_a_decay_over_the_budget_follows_a_change_of_it(tmp_path):
    """The saved configuration is resolved: a number in it would stay behind."""
    planted = RunFolder(tmp_path)
    save_config(planted, compose_config(["+experiment=planted"]))
    longer = load_config(planted, ["train.updates=3000"])
    assert longer.learner.for_budget(longer.train.updates).decay_updates == 3000
    fixed = load_config(planted, ["learner.decay_updates=7"])
    assert fixed.learner.for_budget(longer.train.updates).decay_updates == 7


def test_a_change_that_cannot_be_used_is_named(run):
    with pytest.raises(ApexError, match=r"did you mean trading\.fee"):
        load_config(run, ["trading.fe=0"])
    with pytest.raises(ApexError, match=r"trading\.fee=5\.0 cannot be used"):
        load_config(run, ["trading.fee=5"])


def test_an_unreadable_configuration_names_its_file(run):
    run.config.write_text("seed: [1\n")
    with pytest.raises(ApexError, match=r"config\.yaml cannot be read"):
        load_config(run)


def test_a_configuration_that_cannot_be_resolved_is_an_error_of_the_user():
    from omegaconf import OmegaConf

    with pytest.raises(ApexError, match="cannot be resolved"):
        typed(OmegaConf.create({"name": "${nowhere}"}))


def test_plain_values_are_yaml_values():
    from omegaconf import OmegaConf

    values = plain(Config())
    assert OmegaConf.to_container(OmegaConf.create(values)) == values


def test_a_resumed_run_stays_in_its_folder():
    assert run_dir("runs/old", "name") == "runs/old"
    assert run_dir("", "name").startswith("runs/name/")


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["state.without=[cnn_hidden]", "periods.extractor=0"], "no days to fit the CNN on"),
        (["state.without=[cnn_predictions]", "reward.cnn_potential=0.1"], "reward.cnn_potential"),
    ],
)
def test_cnn_columns_and_terms_that_nothing_supplies_are_refused(overrides, reason):
    with pytest.raises(ApexError, match=reason):
        check_blocks(compose_config(["+experiment=eth_minutes", *overrides]))


def test_a_configuration_can_be_asked_for_while_hydra_runs_a_command():
    register()
    with initialize_config_dir(str(CONF), version_base=None):
        inside = compose_config([QUICK, "seed=5"])
        still = compose("config", ["seed=6"])
    assert inside == compose_config([QUICK, "seed=5"])
    assert still.seed == 6
