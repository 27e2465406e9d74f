"""What stands in pictures."""

WORDS = {
    "epoch": "epoch",
    "rate": "learning rate",
    "rate_applied": "rate applied",
    "loss_parts": "validation loss (thick), training loss (thin)",
    "metric_title": "{metric} on the validation set",
    "group": "group {number}",
    "finals_title": "dot: one seed; diamond: mean ± standard error",
    "higher_is_better": "{label} (higher is better)",
    "range_title": "range test: each batch (pale), smoothed (strong)",
    "range_cut": "cut",
    "momentum": "thin: momentum",
    "made_up_loss": "thin: a made-up loss",
    "gallery_key": "Across: a run of 20 epochs. Up: the rate, from 0. Dotted: base_lr. Stairs step per epoch, smooth lines per batch. *: torch has no class for it.",
    "final_loss": "final validation loss",
    "ranking_title": "pale dot: one seed; diamond: mean ± standard error",
    "lost_label": "{label} ({lost} of {seeds} diverged)",
    "step": "step",
    "expected_loss": "expected loss",
    "parts_title": "expected loss (thick), its bias (dashed) and its noise (dotted)",
}
