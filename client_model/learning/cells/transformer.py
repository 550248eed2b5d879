"""`transformer`: a decoder with causal self-attention over the last tokens.

Layers as in Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3 (normalised inputs,
a last norm), with a learned bias for each distance between two tokens in the place of positions (Raffel et al. 2020,
arXiv:1910.10683, section 2.1), so that nothing ends after a fixed number of tokens: older ones are forgotten. The units
U are the width of the layers; two maps lie between them and the embedding.

A phone keeps keys and values of the last `window` tokens as the state. Training reads all steps of a batch at once.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from client_model.learning.cells.base import CellSizes, CellWeight, Tensor, Tensors, Vectors, glorot, starting_at
from client_model.learning.cells.norm import layer_norm, numpy_layer_norm
from typefleet.doors import Kind, KindSettings
from typefleet.errors import ConfigError, expected

_NEVER = -3e4  # the score of a token that is not there; a number in half precision too


@dataclass(frozen=True)
class Transformer(KindSettings):
    """The cell, its depth, and how far it looks back."""

    name: ClassVar[str] = "transformer"

    layers: Annotated[int, Ge(1), Le(12)] = 4
    """Attention layers, each with a feed-forward map."""
    heads: Annotated[int, Ge(1)] = 4
    """Attention heads per layer; the units are divided among them."""
    window: Annotated[int, Ge(2), Le(200)] = 20
    """Tokens that each layer looks back at, the newest included; no more than --model.sequence-length are trained."""

    def weights(self, sizes: CellSizes) -> dict[str, CellWeight]:
        """Maps in and out, and six weights per layer."""
        d, u = sizes.embedding, sizes.units
        if u % self.heads:
            raise ConfigError(expected("--model.units", f"a multiple of --model.heads {self.heads}", u))
        found = {"input_kernel": glorot(d, u)}
        for n in range(1, self.layers + 1):
            found |= {
                f"layer{n}_attention_gain": starting_at((1.0, u)),
                f"layer{n}_qkv": glorot(u, 3 * u, u),
                f"layer{n}_distance_bias": starting_at((0.0, self.heads * self.window)),
                f"layer{n}_attention_out": glorot(u, u),
                f"layer{n}_map_gain": starting_at((1.0, u)),
                f"layer{n}_up": glorot(u, 4 * u),
                f"layer{n}_up_bias": starting_at((0.0, 4 * u)),
                f"layer{n}_down": glorot(4 * u, u),
            }
        return {**found, "output_gain": starting_at((1.0, u)), "projection": glorot(u, d)}

    def state_sizes(self, sizes: CellSizes) -> dict[str, int]:
        """Keys and values of the tokens in the window, and which of them there are."""
        parts = {
            f"layer{n}_{part}": self.window * sizes.units
            for n in range(1, self.layers + 1)
            for part in ("keys", "values")
        }
        return {**parts, "filled": self.window}

    def step(self, weights: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, Tensors]:
        """(output [B, D], {layer1_keys [B, window U], layer1_values [B, window U], ..., filled [B, window]})."""
        import tensorflow as tf

        w, rows, units = weights, x.shape[0], weights["output_gain"].shape[0]
        if rows is None:
            rows = tf.shape(x)[0]
        split = [rows, self.window, self.heads, units // self.heads]
        after = {"filled": _pushed(state["filled"], tf.ones_like(x[:, :1]), self.window)}
        unfilled = tf.expand_dims(_NEVER * (1.0 - after["filled"]), 2)  # [B, window, 1]
        h = tf.matmul(x, w["input_kernel"])  # [B, U]
        for n in range(1, self.layers + 1):
            normal = layer_norm(h, w[f"layer{n}_attention_gain"])
            q, k, v = tf.split(tf.matmul(normal, w[f"layer{n}_qkv"]), 3, axis=1)  # [B, U] each
            keys = after[f"layer{n}_keys"] = _pushed(state[f"layer{n}_keys"], k, self.window)  # [B, window U]
            values = after[f"layer{n}_values"] = _pushed(state[f"layer{n}_values"], v, self.window)
            query = tf.reshape(q, [split[0], 1, *split[2:]]) * (units / self.heads) ** -0.5
            scores = tf.reduce_sum(query * tf.reshape(keys, split), 3)  # [B, window, heads]
            bias = tf.transpose(tf.reshape(w[f"layer{n}_distance_bias"], [self.heads, self.window]))
            attention = tf.transpose(tf.nn.softmax(tf.transpose(scores + bias + unfilled, [0, 2, 1])), [0, 2, 1])
            read = tf.reduce_sum(tf.expand_dims(attention, 3) * tf.reshape(values, split), 1)  # [B, heads, U / heads]
            h += tf.matmul(tf.reshape(read, [rows, units]), w[f"layer{n}_attention_out"])
            h += self._mapped(w, n, h)
        return tf.matmul(layer_norm(h, w["output_gain"]), w["projection"]), after

    def _mapped(self, w: Tensors, n: int, h: Tensor) -> Tensor:
        import tensorflow as tf

        up = tf.matmul(layer_norm(h, w[f"layer{n}_map_gain"]), w[f"layer{n}_up"]) + w[f"layer{n}_up_bias"]
        return tf.matmul(tf.maximum(up, 0.0), w[f"layer{n}_down"])  # [., U]

    def forward(self, weights: Tensors, x: Tensor, counts: Tensor) -> tuple[Tensor, Any]:
        """All steps of a packed batch at once; see `HandWrittenPasses`. Differentiated by TensorFlow."""
        from client_model.learning.cells.packed import Tape

        tape = Tape.of(self._outputs, weights, x, counts)
        return tape.outputs, tape

    def _outputs(self, w: Tensors, x: Tensor, counts: Tensor) -> Tensor:
        import tensorflow as tf

        units, steps, rows = w["output_gain"].shape[0], counts.shape[0], counts[0]
        layout = _Layout.of(counts)
        ahead = tf.range(steps)[:, None] - tf.range(steps)[None, :]  # [T, T], how far back the second is
        seen = (ahead >= 0) & (ahead < self.window)
        place = tf.clip_by_value(self.window - 1 - ahead, 0, self.window - 1)  # of the distance in the bias
        distances = tf.one_hot(tf.reshape(place, [-1]), self.window, axis=0)  # [window, T T]
        split = [rows, steps, self.heads, units // self.heads]
        h = tf.matmul(x, w["input_kernel"])  # [n, U]
        for n in range(1, self.layers + 1):
            normal = layer_norm(h, w[f"layer{n}_attention_gain"])
            padded = layout.unpacked(tf.matmul(normal, w[f"layer{n}_qkv"]))  # [B, T, 3 U]
            q, k, v = (tf.transpose(tf.reshape(part, split), [0, 2, 1, 3]) for part in tf.split(padded, 3, axis=2))
            bias = tf.matmul(tf.reshape(w[f"layer{n}_distance_bias"], [self.heads, self.window]), distances)
            bias = tf.reshape(bias, [self.heads, steps, steps])
            scores = tf.matmul(q, k, transpose_b=True) * (units / self.heads) ** -0.5 + bias  # [B, heads, T, T]
            read = tf.matmul(tf.nn.softmax(tf.where(seen, scores, _NEVER)), v)  # [B, heads, T, U / heads]
            read = layout.packed(tf.reshape(tf.transpose(read, [0, 2, 1, 3]), [rows, steps, units]))  # [n, U]
            h += tf.matmul(read, w[f"layer{n}_attention_out"])
            h += self._mapped(w, n, h)
        return tf.matmul(layer_norm(h, w["output_gain"]), w["projection"])  # [n, D]

    def backward(self, weights: Tensors, trace: Any, d_outputs: Tensor) -> tuple[Tensor, Tensors]:
        """Gradients of the inputs and the weights; see `HandWrittenPasses`."""
        d_x, gradients = trace.gradients(weights, d_outputs)
        return d_x, gradients

    def reference_step(
        self, weights: Vectors, x: NDArray[np.float32], state: Vectors
    ) -> tuple[NDArray[np.float32], Vectors]:
        """(output [D], next state) in plain numpy."""
        w, window, heads = weights, self.window, self.heads
        h, after = x @ w["input_kernel"], {"filled": np.append(state["filled"][1:], np.float32(1))}
        there = after["filled"] > 0
        for n in range(1, self.layers + 1):
            q, k, v = np.split(numpy_layer_norm(h, w[f"layer{n}_attention_gain"]) @ w[f"layer{n}_qkv"], 3)
            for part, new in (("keys", k), ("values", v)):
                after[f"layer{n}_{part}"] = np.concatenate([state[f"layer{n}_{part}"][len(new) :], new])
            keys, values = (after[f"layer{n}_{part}"].reshape(window, heads, -1)[there] for part in ("keys", "values"))
            query = q.reshape(heads, -1)
            bias = w[f"layer{n}_distance_bias"].reshape(heads, window)[:, there]
            scores = np.einsum("hd,whd->hw", query, keys) / np.sqrt(query.shape[1]) + bias
            shares = np.exp(scores - scores.max(1, keepdims=True))
            read = np.einsum("hw,whd->hd", shares / shares.sum(1, keepdims=True), values).ravel()
            h = h + read @ w[f"layer{n}_attention_out"]
            up = numpy_layer_norm(h, w[f"layer{n}_map_gain"]) @ w[f"layer{n}_up"] + w[f"layer{n}_up_bias"]
            h = h + np.maximum(up, 0) @ w[f"layer{n}_down"]
        return numpy_layer_norm(h, w["output_gain"]) @ w["projection"], after


class _Layout(NamedTuple):
    """Where each token of a packed batch stands in a padded one, and the other way round.

    The gradient of either way is the other one: TensorFlow's own, of any gathering, is a sum that has no fixed order on
    a GPU. Nothing is lost by it, since nothing that comes of a place without a token is read.
    """

    places: Tensor  # the packed row of each token, int32 [B, T]; 0 where none is
    there: Tensor  # bool [B, T, 1]
    origins: Tensor  # where each packed row is among the padded ones, int32 [n]

    @classmethod
    def of(cls, counts: Tensor) -> "_Layout":
        """From the rows of each step, int32 [T]."""
        import tensorflow as tf

        # Nothing is transposed from [T, B] to [B, T]: TensorFlow complains of that for int32.
        steps, rows = tf.range(counts.shape[0]), tf.range(counts[0])
        there = rows[:, None] < counts[None, :]  # [B, T]
        places = tf.cumsum(counts, exclusive=True)[None, :] + rows[:, None]  # [B, T]
        grid = rows[None, :] * counts.shape[0] + steps[:, None]  # [T, B]
        origins = tf.boolean_mask(grid, rows[None, :] < counts[:, None])  # [n]
        return cls(tf.where(there, places, 0), there[:, :, None], origins)

    def unpacked(self, packed: Tensor) -> Tensor:
        """[B, T, width], of [n, width]."""
        import tensorflow as tf

        there_and_back = tf.custom_gradient(lambda x: (tf.gather(x, self.places), self._packed))
        return there_and_back(packed)

    def packed(self, padded: Tensor) -> Tensor:
        """[n, width], of [B, T, width]."""
        import tensorflow as tf

        def back(d: Tensor) -> Tensor:
            return tf.where(self.there, tf.gather(d, self.places), 0.0)

        there_and_back = tf.custom_gradient(lambda x: (self._packed(x), back))
        return there_and_back(padded)

    def _packed(self, padded: Tensor) -> Tensor:
        import tensorflow as tf

        return tf.gather(tf.reshape(padded, [-1, padded.shape[-1]]), self.origins)


def _pushed(queue: Tensor, new: Tensor, places: int) -> Tensor:
    """[B, places width] without its oldest entry [B, width], and with a new one at the end."""
    import tensorflow as tf

    width = queue.shape[1] // places
    _, rest = tf.split(queue, [width, queue.shape[1] - width], axis=1)
    return tf.concat([rest, new], 1)


KIND = Kind("transformer", "a decoder with self-attention", make=lambda settings: settings, settings=Transformer)
