"""What the exhibits say."""

WORDS = {
    "meant": "meant",
    "applied_False": "applied by the wrong code",
    "exhibit_agrees": "Applied and meant agree at all {steps} {units}.",
    "exhibit_differs": "Applied and meant differ at {count} of {steps} {units}, first at {unit} {first}.",
    "torch_warns": "torch warns: {message}",
    "torch_raises": "torch raises {kind}: {message}",
}
