"""The benchmark of predictions: what is counted, and that it runs."""

from benchmarks.predict import central_box, encoder_flop, main, predictor_flop


def test_operations_are_those_that_pytorch_counts():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from tests.golden.make import tiny_config, tiny_model

    config, model = tiny_config(), tiny_model().eval()
    pixels, context, target = torch.zeros(1, 3, 16, 16), torch.arange(10)[None], torch.arange(10, 14)[None]

    def counted(run):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run()
        return counter.get_total_flops()

    tokens = torch.zeros(1, 10, config.encoder.width)
    assert encoder_flop(config, 16) == counted(lambda: model.target_encoder(pixels))
    assert encoder_flop(config, 10) == counted(lambda: model.context_encoder(pixels, context))
    assert predictor_flop(config, 10, 4) == counted(lambda: model.predictor(tokens, context, target))


def test_the_box_is_a_sixth_of_the_grid_and_the_context_is_the_rest():
    box = central_box((14, 14))
    assert len(box.targets[0]) == 36
    assert sorted([*box.context, *box.targets[0]]) == list(range(196))


def test_it_prints_a_line_for_each_task(golden, capsys):
    main(["--bundle", str(golden), "--runtime", "onnxruntime", "--threads", "1", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("golden on onnxruntime")
    assert [line.split()[0] for line in lines[2:]] == ["embed", "predict", "energy"]
