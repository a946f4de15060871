"""Honest judgement of a policy: backtest, baselines, statistics, report."""
