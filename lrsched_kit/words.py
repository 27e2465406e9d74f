"""All words that a lab shows, in one table, so that another language is another table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        # the picture
        "epoch": "epoch",
        "rate": "learning rate",
        "rate_title": "rate: applied (strong), planned (pale)",
        "rate_title_by_metric": "rate applied, a line per seed",
        "rate_applied": "rate applied",
        "loss_title": "loss: validation (thick), training (thin)",
        "cross_entropy": "cross-entropy (nats)",
        "squared_error": "mean squared error",
        "mean_final_loss": "mean final validation loss",
        "best": "solid frame: lowest",
        "marked": "dashed frame: chosen",
        "pin_label": "pin {number}: {settings}",
        "as_started": "as at the start",
        "diverged_label": "{label} (diverged at epoch {epoch})",
        "diverged_label_seeds": "{label} ({lost} of {seeds} diverged at epoch {epoch})",
        # the controls
        "base_lr_help": "the rate that the optimizer starts with",
        "epochs_help": "how many times the training set is passed through",
        "run": "Run",
        "run_help": "train again with these settings",
        "stop": "Stop",
        "stop_help": "end the training that is running",
        "pin": "Pin",
        "pin_help": "keep this run in the picture (three at most: a fourth replaces the oldest)",
        "reset": "Reset",
        "reset_help": "put every slider back to where it started, and take the pins off",
        "log": "Log rate axis",
        "log_help": "show the rate on a logarithmic axis",
        "code": "Show code",
        "code_help": "this configuration as a PyTorch script",
        "save": "Save",
        "save_help": "write the picture (PNG) and the numbers (CSV) into the folder {folder!r}",
        # the line under the picture
        "training": "Training: epoch {epoch} of {epochs}.",
        "stopped": "Stopped after epoch {epoch} of {epochs}.",
        "saved": "Saved {files}.",
        "nothing_to_save": "Nothing to save yet: no run has finished.",
        "failed": "This run failed: {error}",
        "rate_line": "{label}: the rate goes from {first} to {last} in {epochs} epochs.",
        "flat_line": "{label}: the rate stays at {first} for {epochs} epochs.",
        "rate_line_by_metric": "{label}, first seed: the rate goes from {first} to {last} in "
        "{epochs} epochs.",
        "loss_line": "Final validation loss (mean of {seeds} seeds): {losses}.",
        "survivors": "{loss} ({kept} of {seeds} seeds)",
        "loss_line_one": "Final validation loss: {losses}.",
        "better": "{label} is lower on {wins} of {seeds} seeds, by {gap}.",
        "worse": "{label} is lower on {wins} of {seeds} seeds: on average it is higher by {gap}.",
        "same": "{label} ends exactly where the constant rate does, on all {seeds} seeds.",
        "cell_line": "Chosen: {cell}.",
        "cell_diverged": "diverged",
        "best_line": "Lowest of {cells} cells: {cell}.",
        "luck_line": "{close} others are less than two standard errors above it.",
        "cells_so_far": "{done} of {cells} cells so far.",
        "diverged": "{label} diverged at epoch {epoch} on {lost} of {seeds} seeds.",
    }
)
