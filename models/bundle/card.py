"""The model card of a bundle: what the network is, where it comes from, what was measured."""

from models.bundle.manifest import PREDICTOR, ManifestDraft, Provenance, Variant


def model_card(manifest: ManifestDraft, text: str | None = None) -> str:
    """A card in Markdown: `text`, or a description from the manifest; then what was measured.

    A text that does not name the licence gets a line with it.
    """
    if text is None:
        text = describe(manifest)
    elif manifest.licence not in text:
        text = f"{text.rstrip()}\n\nLicence of the weights: {manifest.licence}.\n"
    return f"{text.rstrip()}\n\n{measured(manifest)}"


def describe(manifest: ManifestDraft) -> str:
    """What the network is and where it comes from."""
    encoder = manifest.model.encoder
    parts = (
        "with its predictor" if PREDICTOR in manifest.parity else "for embeddings alone: its source has no predictor"
    )
    return (
        f"# {manifest.id}\n\n"
        f"An I-JEPA: a Vision Transformer of {encoder.depth} blocks of width {encoder.width} over {encoder.grid[0]}x{encoder.grid[1]} "
        f"patches of {encoder.patch_size} pixels, {parts}.\n\n"
        f"- Trained on {manifest.source.trained_on}{training_length(manifest.source)}.\n"
        f"- Recipe: {manifest.source.recipe}.\n"
        f"- Licence: {manifest.licence}.\n"
        f"- Poolings: {', '.join(f'`{name}` ({width} dimensions)' for name, width in manifest.poolings.items())}.\n"
    )


def training_length(source: Provenance) -> str:
    """Steps, runs and images, where they are known; empty otherwise."""
    if not source.steps:
        return ""
    runs = f" in {source.runs} runs" if source.runs and source.runs > 1 else ""
    images = f", {source.images_seen:,} images seen" if source.images_seen else ""
    return f" ({source.steps:,} steps{runs}{images})"


def measured(manifest: ManifestDraft) -> str:
    """Probes, parity with PyTorch and the accuracy of other precisions."""
    probes = manifest.probes.markdown() if manifest.probes else "No probe was run (`ijepa probe`).\n"
    parity = ", ".join(f"{name} {value.max_difference:.1e}" for name, value in manifest.parity.items())
    allowed = max(value.allowed for value in manifest.parity.values())
    return (
        f"## What was measured\n\n{probes}\n"
        f"Max abs difference between ONNX Runtime and PyTorch in float32: {parity} (allowed: {allowed:.1e}).\n"
        f"{precisions(manifest)}{decoding(manifest)}"
    )


def precisions(manifest: ManifestDraft) -> str:
    """A sentence for each precision beside float32."""
    sentences = []
    for name, variant in manifest.variants.items():
        graphs = "; ".join(
            f"{graph} {x.first_percentile:.5f} and {x.mean:.5f}" for graph, x in variant.accuracy.items()
        )
        sentences.append(
            f"In {name}, on {variant.images:,} images of {variant.measured_on}: mean-centred cosine to float32, first percentile "
            f"and mean, {graphs}{_poolings(variant)}.\n"
        )
    return "".join(sentences)


def _poolings(variant: Variant) -> str:
    """First percentiles by pooling, where there are such."""
    each = ", ".join(f"{name} {x.first_percentile:.5f}" for name, x in variant.poolings.items())
    return f"; first percentile by pooling: {each}" if each else ""


def with_precisions(card: str, old_id: str, manifest: ManifestDraft) -> str:
    """An existing card with the sentences of `precisions`, behind the one on parity; a heading with the old id gets the new one."""
    old = tuple(f"In {name}, on " for name in manifest.variants)
    lines = [line for line in card.splitlines() if not line.startswith(old)]
    if lines and lines[0] == f"# {old_id}":
        lines[0] = f"# {manifest.id}"
    parity = [i for i, line in enumerate(lines) if line.startswith("Max abs difference between ")]
    place = parity[-1] + 1 if parity else len(lines)
    return "\n".join([*lines[:place], *precisions(manifest).splitlines(), *lines[place:]]) + "\n"


def decoding(manifest: ManifestDraft) -> str:
    """A sentence on scaled decoding, where it was measured."""
    if not (measured := manifest.scaled_decoding):
        return ""
    used = "used" if manifest.model.pixels.decoding == "scaled" else "not used"
    return (
        f"JPEGs decoded at a smaller scale ({used}), on {measured.images:,} images of {measured.measured_on}: mean-centred cosine "
        f"to exact decoding, first percentile and mean, {measured.accuracy.first_percentile:.5f} and {measured.accuracy.mean:.5f}.\n"
    )
