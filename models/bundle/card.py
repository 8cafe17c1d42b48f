"""The model card of a bundle: what the network is, where it comes from, what was measured."""

from models.bundle.manifest import PREDICTOR, ManifestDraft, Provenance


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
        f"{precisions(manifest)}"
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
            f"and mean, {graphs}.\n"
        )
    return "".join(sentences)
