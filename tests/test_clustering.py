"""Full video: the groupings of the paper's figure, what they promise, and what the network costs."""

import math

import pytest
import torch
from torch.nn import functional as F

from videozoo import create_model
from videozoo.errors import SettingError
from videozoo.evaluation.benchmark import peak_memory, saved_tensor_memory
from videozoo.evaluation.cost import count_cost
from videozoo.temporal.clustering import (
    TemporalClustering,
    cluster_means,
    cumulative_clusters,
    neighbour_distances,
    slope_clusters,
    uniform_clusters,
    unrepeated_lengths,
)

FIGURE = torch.tensor([[3, 3, 3, 4, 1, 5, 6, 2, 3]])
GROUPINGS = ("cumulative", "slope", "uniform")


def drift(videos=3, frames=16, channels=4, size=6):
    """Frames that change a little or a lot from one to the next."""
    steps = torch.randn(videos, frames, channels, size, size) * (0.05 + torch.rand(videos, frames, 1, 1, 1) ** 4)
    return steps.cumsum(1)


def runs_of(ids):
    return [[int(i) for i in row] for row in ids]


def test_the_figures_two_groupings():  # figure 3, frames 1-4, 5-7, 8-10 and 1-6, 7, 8-10
    assert runs_of(cumulative_clusters(FIGURE, 3)) == [[0, 0, 0, 0, 1, 1, 1, 2, 2, 2]]
    assert runs_of(slope_clusters(FIGURE, 3)) == [[0, 0, 0, 0, 0, 0, 1, 2, 2, 2]]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(4, 6, 6), (3, 5, 7), (1, 1, 1), (8, 1, 1)])
def test_distances_count_units_that_are_active_in_one_of_the_two(shape, layout):
    features = torch.randn(2, 5, *shape).relu().flatten(0, 1).contiguous(memory_format=layout).unflatten(0, (2, 5))
    active = features > 0
    assert torch.equal(neighbour_distances(features), (active[:, 1:] != active[:, :-1]).flatten(2).sum(2))


@pytest.mark.parametrize("clusters", [1, 2, 3, 8, 16, 20])
def test_groupings_by_brute_force(clusters):
    distances = torch.randint(0, 50, (60, 15)) * (torch.rand(60, 15) < 0.7)
    distances[0] = 0
    for row, found in zip(distances.tolist(), runs_of(cumulative_clusters(distances, clusters)), strict=True):
        total, covered, expected = sum(row), 0, []
        for i in range(16):
            expected.append(max(1, -(-clusters * covered // total) if total else 1) - 1)
            covered += row[i] if i < 15 else 0
        assert found == expected
    for row, found in zip(distances.tolist(), runs_of(slope_clusters(distances, clusters)), strict=True):
        cuts = sorted(range(15), key=lambda i, row=row: (-row[i], i))[: clusters - 1]
        assert found == [sum(cut < i for cut in cuts) for i in range(16)]
    lengths = torch.arange(1, 17)
    for length, found in zip(lengths.tolist(), runs_of(uniform_clusters(lengths, 16, clusters)), strict=True):
        assert found[:length] == [math.floor(i * clusters / length) for i in range(length)]
        assert max(found) < clusters


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("clusters", [1, 4, 16])
def test_ids_start_at_the_first_and_never_fall_or_pass_the_last(grouping, clusters):
    ids = TemporalClustering(clusters, grouping).assign(drift())
    assert (ids[:, 0] == 0).all()
    assert (ids.diff(dim=1) >= 0).all()
    assert ids.max() < clusters
    if grouping != "cumulative":
        assert all(len(set(row)) == clusters for row in runs_of(ids))


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_equal_frames_give_equal_maps(grouping):
    features = torch.randn(2, 1, 4, 6, 6).expand(-1, 12, -1, -1, -1)
    clustering = TemporalClustering(5, grouping)
    torch.testing.assert_close(clustering(features), features[:, :5])
    if grouping == "cumulative":
        assert clustering.assign(features).max() == 0


def test_equal_distances():
    distances = torch.full((1, 7), 5)
    assert runs_of(cumulative_clusters(distances, 8)) == [list(range(8))]
    assert runs_of(cumulative_clusters(distances, 7)) == [[0, 0, 1, 2, 3, 4, 5, 6]]
    assert runs_of(slope_clusters(distances, 8)) == [list(range(8))]


def test_as_many_clusters_as_frames_change_nothing_with_slope_and_uniform():
    features = drift()
    for grouping in ("slope", "uniform"):
        assert torch.equal(TemporalClustering(16, grouping)(features), features)


def test_means_by_brute_force_and_empty_clusters_repeat_the_one_before():
    features = torch.randn(2, 6, 3, 4, 4)
    ids = torch.tensor([[0, 0, 2, 2, 2, 4], [0, 1, 2, 3, 3, 3]])
    means = cluster_means(features, ids, 5)
    first = [features[0, :2].mean(0), features[0, 2:5].mean(0), features[0, 5]]
    expected = [first[0], first[0], first[1], first[1], first[2]]
    torch.testing.assert_close(means[0], torch.stack(expected))
    second = [features[1, i] for i in range(3)] + [features[1, 3:].mean(0)] * 2
    torch.testing.assert_close(means[1], torch.stack(second))
    last = features.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (2, 6))
    merged = cluster_means(last, ids, 5)
    torch.testing.assert_close(merged, means)
    assert merged.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_a_frames_gradient_is_its_clusters_over_the_clusters_size():
    features = drift().requires_grad_()
    clustering = TemporalClustering(4)
    merged = clustering(features)
    cotangent = torch.randn_like(merged)
    (gradient,) = torch.autograd.grad(merged, features, cotangent)
    for video, ids in enumerate(runs_of(clustering.assign(features))):
        for frame, own in enumerate(ids):
            copies = [own, *(c for c in range(own + 1, 4) if c not in ids and max(i for i in ids if i < c) == own)]
            expected = sum(cotangent[video, c] for c in copies) / ids.count(own)
            torch.testing.assert_close(gradient[video, frame], expected)


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_videos_do_not_see_one_another(grouping):
    features, clustering = drift(), TemporalClustering(4, grouping)
    order = torch.tensor([2, 0, 1])
    assert torch.equal(clustering(features[order]), clustering(features)[order])
    for video in range(3):
        torch.testing.assert_close(clustering(features[video : video + 1])[0], clustering(features)[video])


def test_scaling_channels_changes_no_cluster():
    features, clustering = drift(), TemporalClustering(4)
    scales = torch.rand(4).view(4, 1, 1) + 0.5
    assert torch.equal(clustering.assign(scales * features), clustering.assign(features))


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_padding_joins_the_last_frames_cluster_and_does_not_weigh(grouping):
    features = drift()
    lengths = torch.tensor([16, 9, 1])
    padded = features.clone()
    for video, length in enumerate(lengths):
        padded[video, length:] += 10 * torch.rand_like(padded[video, length:])  # whatever stands there
    clustering = TemporalClustering(4, grouping)
    ids = clustering.assign(padded, lengths)
    merged = clustering(padded, lengths)
    for video, length in enumerate(lengths.tolist()):
        alone = features[video : video + 1, :length]
        assert torch.equal(ids[video, :length], clustering.assign(alone)[0])
        assert (ids[video, length:] <= 3).all()
        torch.testing.assert_close(merged[video], clustering(alone)[0])
        if grouping != "uniform":
            assert (ids[video, length:] == ids[video, length - 1]).all()


def test_repeated_last_frames_are_found():
    clip = torch.randn(4, 6, 3, 4, 4)
    clip[1, 3:] = clip[1, 3]
    clip[2] = clip[2, :1]
    clip[3, 1:3] = clip[3, 1]  # repetition inside is no padding
    assert unrepeated_lengths(clip).tolist() == [6, 4, 1, 6]


def test_half_precision_sums_are_wide():
    features = torch.ones(1, 600, 1, 1, 1, dtype=torch.bfloat16)  # 256 + 1 is 256 in this precision
    assert TemporalClustering(1)(features).flatten().tolist() == [1]


def test_gradient_of_the_mean_of_two_frames():
    """The step from equation 6 to 7 that is exact; the inequality itself is not, since softmax is not convex."""
    x = torch.randn(2, 1000, dtype=torch.float64)
    q = torch.rand(2, 1000, dtype=torch.float64)
    exact = (x[0] * q[0] + x[1] * q[1]) / 2 - (x[0] - x[1]) * (q[0] - q[1]) / 4
    assert ((x.mean(0) * q.mean(0)) - exact).abs().max() < 1e-14

    def softmax_of(inputs, w):
        return (inputs.unsqueeze(-1) * w).relu().softmax(-1)[..., 0]

    w = torch.randn(1000, 3, dtype=torch.float64)
    separate = (x * (softmax_of(x, w) - 1)).mean(0)
    merged = x.mean(0) * (softmax_of(x.mean(0), w) - 1)
    bound = ((x[0] - x[1]) * (softmax_of(x[0], w) - softmax_of(x[1], w))).abs() / 4
    broken = ((separate - merged).abs() > bound).double().mean()
    assert 0.2 < broken < 0.9
    # What holds: the nearer the frames, the nearer the gradients, faster than the frames themselves.
    errors = []
    for distance in (1.0, 0.1, 0.01):
        near = torch.stack([x[0], x[0] + distance * (x[1] - x[0])])
        difference = (near * (softmax_of(near, w) - 1)).mean(0) - near.mean(0) * (softmax_of(near.mean(0), w) - 1)
        errors.append(difference.abs().mean().item())
    assert errors[1] < 0.1 * errors[0]
    assert errors[2] < 0.1 * errors[1]


# The network.


def test_multiply_adds_of_table_1():
    with torch.device("meta"):
        plain = create_model("tsm_resnet18", 4).network
        clustered = {g: create_model("fullvideo_tsm_resnet18", 4, clusters=g).network for g in (8, 16)}
    every = count_cost(plain, (1, 32, 3, 224, 224)).macs / 1e9
    assert every == pytest.approx(58.24, rel=0.01)
    for clusters, reported in ((8, 28.61), (16, 38.51)):
        cost = count_cost(clustered[clusters], (1, 32, 3, 224, 224))
        assert cost.macs / 1e9 == pytest.approx(reported, rel=0.01)
        assert cost.parameters == sum(p.numel() for p in plain.parameters())


def test_training_keeps_at_most_half_of_what_all_frames_keep():
    clip, label = torch.randn(1, 32, 3, 64, 64), torch.zeros(1, dtype=torch.int64)

    def kept(arch, **settings):
        model = create_model(arch, 4, **settings)
        return saved_tensor_memory(lambda: F.cross_entropy(model(clip), label))

    every = kept("tsm_resnet18")
    assert kept("fullvideo_tsm_resnet18") <= 0.5 * every
    assert kept("fullvideo_tsm_resnet18", clusters=16) <= 0.5 * every


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="counts the CPU's memory")
def test_a_step_holds_at_most_half_of_what_all_frames_hold():
    """With what recomputed parts keep and need for a while: hooks on saved tensors see neither."""
    clip, label = torch.randn(1, 32, 3, 112, 112), torch.zeros(1, dtype=torch.int64)

    def held(arch):
        model = create_model(arch, 4)

        def step():
            F.cross_entropy(model(clip), label).backward()

        step()  # the gradients of parameters are there before
        return peak_memory(step)

    assert held("fullvideo_tsm_resnet18") <= 0.5 * held("tsm_resnet18")


def tiny(backbone="tsm_resnet10_tiny", **settings):
    torch.manual_seed(4)
    model = create_model(f"fullvideo_{backbone}", 4, **settings)
    model.log = lambda *args, **kwargs: None
    return model


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_as_many_clusters_as_frames_is_the_plain_network(grouping):
    clip = torch.randn(2, 8, 3, 32, 32)
    clip[:, 1:4] = clip[:, :1] + 0.1 * clip[:, 1:4]
    model = tiny(clusters=8, grouping=grouping, dropout=0.0).eval()
    torch.nn.init.normal_(model.network.backbone.classifier.weight)
    plain = create_model("tsm_resnet10_tiny", 4, dropout=0.0).eval()
    plain.network.backbone.load_state_dict(model.network.backbone.state_dict())
    with torch.no_grad():
        same = torch.allclose(model(clip), plain(clip), atol=1e-5)
    assert same == (grouping != "cumulative")


@pytest.mark.parametrize("backbone", ["tsm_resnet10_tiny", "x3d_tiny"])
@pytest.mark.parametrize("place", [0, 1, 4])
@pytest.mark.parametrize("frames", [12, 3])
def test_any_stage_any_length(backbone, place, frames):
    model = tiny(backbone, clusters=4, place=place).train()
    clip = torch.randn(2, frames, 3, 32, 32)
    loss = model.training_step({"clip": clip, "label": torch.tensor([0, 1])}, 0)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    ids = model.assign(clip)
    assert ids.shape == (2, frames)


def test_recomputing_changes_no_gradient():
    clip, label = torch.randn(2, 10, 3, 32, 32), torch.tensor([0, 1])
    found = []
    for recompute in (True, False):
        model = tiny(clusters=4, recompute=recompute, dropout=0.0).train()
        F.cross_entropy(model(clip), label).backward()
        statistics = {k: v for k, v in model.state_dict().items() if "running" in k}
        found.append(({name: p.grad for name, p in model.named_parameters()}, statistics))
    for first, second in zip(*found, strict=True):
        assert all(torch.allclose(first[name], second[name], rtol=1e-4, atol=1e-7) for name in first)


@pytest.mark.parametrize("backbone", ["tsm_resnet10_tiny", "x3d_tiny"])
def test_clusters_are_averaged_before_the_activation_or_after_it(backbone):
    clip = torch.randn(2, 12, 3, 32, 32)
    before, after = (tiny(backbone, clusters=4, average=kind).eval() for kind in ("sums", "outputs"))
    for module in before.modules():
        if isinstance(module, torch.nn.BatchNorm3d):  # X3D's branches start at zero, and then no sum is negative
            torch.nn.init.ones_(module.weight)
    after.load_state_dict(before.state_dict())
    with torch.no_grad():
        sums, outputs = (model.network.frame_features(clip) for model in (before, after))
        assert sums.min() < 0
        torch.testing.assert_close(sums.relu(), outputs)
        assert torch.equal(before.assign(clip), after.assign(clip))
        entering = []
        before.network.backbone.stages[1][0].register_forward_pre_hook(lambda module, seen: entering.append(seen[0]))
        before(clip)
        ids = before.assign(clip)
        expected = cluster_means(sums, ids, 4).relu()
        torch.testing.assert_close(entering[0], expected)
        # Where all frames of a cluster agree on what is active, the order does not matter.
        shares = cluster_means((outputs > 0).float(), ids, 4)
        agreed = (shares == 0) | (shares == 1)
        assert 0.1 < agreed.float().mean() < 1
        torch.testing.assert_close(expected[agreed], cluster_means(outputs, ids, 4)[agreed])
    before.train().training_step({"clip": clip, "label": torch.tensor([0, 1])}, 0).backward()
    assert all(p.grad is not None for p in before.parameters())


def test_averaging_before_an_activation_needs_one_at_the_end():
    for backbone, place in (("bn_inception", 1), ("tsm_resnet10_tiny", 0)):
        with pytest.raises(SettingError, match="does not end in one activation; residual blocks do"):
            tiny(backbone, place=place, average="sums")


def test_padding_of_a_clip_is_found_or_counted():
    clip = torch.randn(1, 12, 3, 32, 32)
    clip[:, 7:] = clip[:, 7:8]
    ignoring, counting = tiny(clusters=4).eval(), tiny(clusters=4, padding="count").eval()
    torch.nn.init.normal_(ignoring.network.backbone.classifier.weight)
    counting.load_state_dict(ignoring.state_dict())
    with torch.no_grad():
        found = ignoring(clip)
        torch.testing.assert_close(found, ignoring.network(clip, torch.tensor([8])))
        torch.testing.assert_close(counting(clip), ignoring.network(clip, torch.tensor([12])))
        assert not torch.allclose(found, counting(clip))


def test_saved_hyperparameters_rebuild_the_network():
    model = tiny(clusters=4, grouping="slope", place=2, frames=24)
    saved = {name: value for name, value in model.hparams.items() if name != "optimization"}
    again = type(model)(**saved)
    again.load_state_dict(model.state_dict())
    assert again.clip_spec == model.clip_spec
    assert (model.clip_spec.frames, model.clip_spec.views.size) == (24, model.clip_spec.resize)


def test_wrong_settings():
    for settings, message in (
        ({"clusters": 0}, "clusters 0: must be at least 1"),
        ({"grouping": "random"}, "grouping 'random': must be one of cumulative, slope, uniform"),
        ({"place": 5}, "place 5: must be from 0, after the stem, to 4"),
        ({"padding": "drop"}, "padding 'drop': must be ignore or count"),
        ({"average": "frames"}, "average 'frames': must be outputs or sums"),
        ({"sampling": "dense"}, "sampling 'dense': must be all or uniform"),
    ):
        with pytest.raises(SettingError, match=message):
            tiny(**settings)
