//! Recognises a BERT encoder in a graph, from its output back to its inputs.
//!
//! Every operation on numbers is checked. Operations on shapes, which only produce axes of known
//! lengths, are not followed: the computation would fail with other shapes.

use prost::Message;
use prost::bytes::Bytes;

use super::Error;
use super::graph::{Graph, not};
use super::proto::{ModelProto, TensorProto};
use super::tensor::{self, Table};
use crate::kernels::{Dense, Norm, PANEL, Panels};

type Result<T> = std::result::Result<T, Error>;

/// A BERT encoder; the fields are in the order of the computation.
pub(crate) struct Encoder {
    /// Embeddings of tokens, segments and positions.
    pub tables: [Table; 3],
    /// Normalisation of the sum of the embeddings.
    pub norm: Norm,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// Heads of each layer.
    pub heads: usize,
    /// The computation after the last layer.
    pub head: Head,
}

/// A transformer layer.
pub(crate) struct Layer {
    /// Projections to queries, keys and values, side by side.
    pub attention: Dense,
    /// Output projection of the attention.
    pub mix: Dense,
    /// Normalisation after `mix`.
    pub mix_norm: Norm,
    /// Projection to the wider feed-forward layer.
    pub widen: Dense,
    /// Projection back to the encoder's width.
    pub narrow: Dense,
    /// Normalisation after `narrow`.
    pub narrow_norm: Norm,
}

/// The computation on the first token's row.
pub(crate) enum Head {
    /// The row itself (a bi-encoder).
    Row,
    /// `tanh` of a dense layer, then one number (a cross-encoder).
    Logit {
        /// The dense layer before `tanh`.
        pooler: Dense,
        /// Weights of the classifier.
        weights: Vec<f32>,
        /// Bias of the classifier.
        bias: f32,
    },
}

/// A product with a constant plus a constant, not yet copied from the file.
struct Linear<'a> {
    input: &'a str,
    weights: &'a TensorProto,
    bias: &'a TensorProto,
}

/// Graphs with more layers are refused, which also refuses cyclic graphs.
const MOST_LAYERS: usize = 96;

struct Reader<'a> {
    graph: Graph<'a>,
    hidden: usize,
    /// Properties that all layers must share.
    shared: Option<Shared<'a>>,
}

#[derive(Clone, Copy, PartialEq)]
struct Shared<'a> {
    mask: &'a str,
    heads: usize,
}

/// Reads an encoder whose output is either `logits` or the rows of the last layer.
pub(crate) fn read(file: Bytes) -> Result<Encoder> {
    let model = ModelProto::decode(file)?;
    let graph = model.graph.unwrap_or_default();
    let [output] = graph.output.as_slice() else {
        return not("the graph", "one with a single output");
    };
    let mut reader = Reader {
        graph: Graph::new(&graph)?,
        hidden: 0,
        shared: None,
    };
    let logit = reader.graph.find(output.name(), "Add").is_some_and(|_| {
        let linear = reader.linear(output.name());
        linear.is_ok_and(|linear| reader.graph.find(linear.input, "Tanh").is_some())
    });
    if logit {
        reader.cross_encoder(output.name())
    } else {
        reader.encoder(output.name(), Head::Row)
    }
}

impl<'a> Reader<'a> {
    fn cross_encoder(&mut self, output: &str) -> Result<Encoder> {
        let last = self.linear(output)?;
        let [tanh] = self.graph.inputs(last.input, "Tanh")?;
        let pooler = self.linear(tanh)?;
        let [rows, index] = self.graph.inputs(pooler.input, "Gather")?;
        let first = tensor::integer(self.graph.constant(index)?)? == 0;
        if !first || self.graph.attribute(pooler.input, "axis") != [1] {
            return not(pooler.input, "the first token's row");
        }
        self.hidden = length(pooler.bias);
        let head = Head::Logit {
            weights: tensor::floats(last.weights, &[self.hidden, 1])?,
            bias: tensor::float(last.bias)?,
            pooler: self.dense(&[pooler], self.hidden, self.hidden)?,
        };
        self.encoder(rows, head)
    }

    fn encoder(&mut self, output: &str, head: Head) -> Result<Encoder> {
        let mut layers = Vec::new();
        let mut value = output;
        let mut embeddings = None;
        while embeddings.is_none() {
            let (sum, norm) = self.norm(value)?;
            let [a, b] = self.graph.inputs(sum, "Add")?;
            match self.graph.find(b, "DequantizeLinear") {
                Some(_) => embeddings = Some((norm, a, b)),
                None if layers.len() == MOST_LAYERS => {
                    return not(value, "within the number of layers that is allowed");
                }
                None => {
                    let (layer, before) = self.layer(norm, a, b)?;
                    layers.push(layer);
                    value = before;
                }
            }
        }
        layers.reverse();
        let (Some((norm, words, positions)), Some(shared)) = (embeddings, self.shared) else {
            return not(output, "an encoder with layers");
        };
        let [words, segments] = self.graph.inputs(words, "Add")?;
        self.graph.depends_only_on(shared.mask, "attention_mask")?;
        let tables = [
            self.table(words, Some("input_ids"))?,
            self.table(segments, Some("token_type_ids"))?,
            self.table(positions, None)?,
        ];
        Ok(Encoder {
            tables,
            norm,
            layers,
            heads: shared.heads,
            head,
        })
    }

    /// A quantized table whose rows are selected by an input, or are the first ones.
    fn table(&self, value: &str, input: Option<&str>) -> Result<Table> {
        let [rows, scale, zero_point] = self.graph.inputs(value, "DequantizeLinear")?;
        let [table, index] = self.graph.inputs(rows, "Gather")?;
        let right = match input {
            Some(input) => index == input,
            None => self.graph.find(index, "Slice").is_some(),
        };
        if !right {
            return not(index, "the input that chooses embeddings");
        }
        let table = Table::new(
            self.graph.constant(table)?,
            self.graph.constant(scale)?,
            self.graph.constant(zero_point)?,
        )?;
        if table.columns() == self.hidden {
            Ok(table)
        } else {
            not(rows, "as wide as the encoder")
        }
    }

    /// The layer whose last sum is `a + b`, and the layer's input.
    fn layer(&mut self, narrow_norm: Norm, a: &'a str, b: &'a str) -> Result<(Layer, &'a str)> {
        let (narrow, middle) = self.residual(a, b)?;
        let widen = self.linear(self.gelu(narrow.input)?)?;
        let (sum, mix_norm) = self.norm(middle)?;
        let [a, b] = self.graph.inputs(sum, "Add")?;
        let (mix, before) = self.residual(a, b)?;
        let attention = self.attention(mix.input)?;
        let alike = attention.iter().all(|linear| linear.input == before);
        if widen.input != middle || !alike {
            return not(middle, "the output of the attention");
        }
        let (hidden, wide) = (self.hidden, length(widen.bias));
        let layer = Layer {
            attention: self.dense(&attention, hidden, hidden)?,
            mix: self.dense(&[mix], hidden, hidden)?,
            mix_norm,
            widen: self.dense(&[widen], hidden, wide)?,
            narrow: self.dense(&[narrow], wide, hidden)?,
            narrow_norm,
        };
        Ok((layer, before))
    }

    /// The dense layer among two summands, and the other summand.
    fn residual(&self, a: &'a str, b: &'a str) -> Result<(Linear<'a>, &'a str)> {
        match self.linear(a) {
            Ok(linear) => Ok((linear, b)),
            Err(_) => Ok((self.linear(b)?, a)),
        }
    }

    fn linear(&self, value: &str) -> Result<Linear<'a>> {
        let (product, bias) = self.graph.with_constant(value, "Add")?;
        let [input, weights] = self.graph.inputs(product, "MatMul")?;
        let weights = self.graph.constant(weights)?;
        Ok(Linear {
            input,
            weights,
            bias,
        })
    }

    /// Merges dense layers with the same input into one; each maps `depth` numbers to `columns`.
    fn dense(&self, parts: &[Linear<'a>], depth: usize, columns: usize) -> Result<Dense> {
        let mut weights = Panels::new(depth);
        let mut bias = Vec::new();
        for part in parts {
            let whole = |length: usize| length > 0 && length.is_multiple_of(PANEL);
            if !whole(depth) || !whole(columns) {
                return Err(Error::Tensor {
                    name: part.weights.name().to_owned(),
                    expected: "of multiples of 32 rows and columns",
                });
            }
            weights.append(&tensor::floats(part.weights, &[depth, columns])?, columns);
            bias.extend(tensor::floats(part.bias, &[columns])?);
        }
        Ok(Dense { weights, bias })
    }

    /// The normalised value and its normalisation.
    fn norm(&mut self, value: &str) -> Result<(&'a str, Norm)> {
        let (scaled, shift) = self.graph.with_constant(value, "Add")?;
        let (normalised, gain) = self.graph.with_constant(scaled, "Mul")?;
        let [centred, deviation] = self.graph.inputs(normalised, "Div")?;
        let [input, mean] = self.graph.inputs(centred, "Sub")?;
        let [square_root] = self.graph.inputs(deviation, "Sqrt")?;
        let [variance, epsilon] = self.graph.inputs(square_root, "Add")?;
        let [squares] = self.graph.inputs(variance, "ReduceMean")?;
        let [base, two] = self.graph.inputs(squares, "Pow")?;
        let [mean_of] = self.graph.inputs(mean, "ReduceMean")?;
        self.graph.check(two, 2.0, "a square")?;
        let last = |value| self.graph.attribute(value, "axes") == [-1];
        if base != centred || mean_of != input || !last(mean) || !last(variance) {
            return not(value, "a layer normalisation");
        }
        if self.hidden == 0 {
            self.hidden = length(gain);
        }
        let epsilon = self.graph.number(epsilon)?;
        if self.hidden == 0 || epsilon <= 0.0 {
            return not(value, "a layer normalisation with an epsilon");
        }
        let norm = Norm {
            gain: tensor::floats(gain, &[self.hidden])?,
            shift: tensor::floats(shift, &[self.hidden])?,
            epsilon,
        };
        Ok((input, norm))
    }

    /// The `x` of `x · (erf(x / √2) + 1) / 2`.
    fn gelu(&self, value: &str) -> Result<&'a str> {
        let [product, half] = self.graph.inputs(value, "Mul")?;
        let [input, factor] = self.graph.inputs(product, "Mul")?;
        let [erf, one] = self.graph.inputs(factor, "Add")?;
        let [quotient] = self.graph.inputs(erf, "Erf")?;
        let [dividend, divisor] = self.graph.inputs(quotient, "Div")?;
        self.graph.check(half, 0.5, "one half")?;
        self.graph.check(one, 1.0, "one")?;
        self.graph
            .check(divisor, std::f32::consts::SQRT_2, "the square root of 2")?;
        if dividend == input {
            Ok(input)
        } else {
            not(value, "a GELU")
        }
    }

    /// Queries, keys and values of the attention that computes `value`.
    fn attention(&mut self, value: &str) -> Result<[Linear<'a>; 3]> {
        let [mixed, _] = self.graph.inputs(value, "Reshape")?;
        let product = self.transposed(mixed, &[0, 2, 1, 3])?;
        let [shares, values] = self.graph.inputs(product, "MatMul")?;
        let [masked] = self.graph.inputs(shares, "Softmax")?;
        let axis = self.graph.attribute(shares, "axis");
        if axis != [-1] && axis != [3] {
            return not(shares, "a softmax over keys");
        }
        let [scores, mask] = self.graph.inputs(masked, "Add")?;
        let (queries, keys) = self.scores(scores)?;
        let (queries, heads, width) = self.split(queries, &[0, 2, 1, 3])?;
        let (keys, ..) = self.split(keys, &[0, 2, 3, 1])?;
        let (values, ..) = self.split(values, &[0, 2, 1, 3])?;
        let shared = Shared { mask, heads };
        if heads.checked_mul(width) != Some(self.hidden)
            || *self.shared.get_or_insert(shared) != shared
        {
            return not(value, "attention with the heads and the mask of the others");
        }
        Ok([queries, keys, values])
    }

    /// The two factors of the scores. Their product, or the factors, are divided by √width.
    fn scores(&self, value: &str) -> Result<(&'a str, &'a str)> {
        if self.graph.find(value, "Div").is_some() {
            let [product, divisor] = self.graph.inputs(value, "Div")?;
            let [queries, keys] = self.graph.inputs(product, "MatMul")?;
            let width = self.width(queries)? as f32;
            self.graph
                .check(divisor, width.sqrt(), "the square root of a head's width")?;
            return Ok((queries, keys));
        }
        let [queries, keys] = self.graph.inputs(value, "MatMul")?;
        Ok((self.scaled(queries)?, self.scaled(keys)?))
    }

    /// The `x` of `x · √(1 / √width)`, if the graph takes the width from a shape.
    fn scaled(&self, value: &str) -> Result<&'a str> {
        let [input, factor] = self.graph.inputs(value, "Mul")?;
        let [fraction] = self.graph.inputs(factor, "Sqrt")?;
        let [one, root] = self.graph.inputs(self.uncast(fraction), "Div")?;
        let [width] = self.graph.inputs(root, "Sqrt")?;
        let [shape, ..] = self.graph.inputs::<3>(self.uncast(width), "Slice")?;
        let [of] = self.graph.inputs(shape, "Shape")?;
        self.graph.check(one, 1.0, "one")?;
        self.graph.inputs::<1>(of, "Transpose")?;
        Ok(input)
    }

    /// The input of a type conversion, or the value itself.
    fn uncast(&self, value: &'a str) -> &'a str {
        self.graph
            .inputs(value, "Cast")
            .map_or(value, |[input]| input)
    }

    fn width(&self, value: &str) -> Result<usize> {
        let (_, _, width) = self.split(value, &[0, 2, 1, 3])?;
        Ok(width)
    }

    fn transposed(&self, value: &str, order: &[i64]) -> Result<&'a str> {
        let [input] = self.graph.inputs(value, "Transpose")?;
        if self.graph.attribute(value, "perm") == order {
            Ok(input)
        } else {
            not(value, "transposed as attention does")
        }
    }

    /// A dense layer whose output is split into heads and transposed, the number of heads and their width.
    fn split(&self, value: &str, order: &[i64]) -> Result<(Linear<'a>, usize, usize)> {
        let reshaped = self.transposed(value, order)?;
        let [rows, shape] = self.graph.inputs(reshaped, "Reshape")?;
        let [.., heads, width] = self.graph.inputs::<4>(shape, "Concat")?;
        let length = |name| -> Result<usize> {
            match usize::try_from(tensor::integer(self.graph.constant(name)?)?) {
                Ok(length @ 1..=65_536) => Ok(length),
                _ => not(name, "a number of heads or columns"),
            }
        };
        Ok((self.linear(rows)?, length(heads)?, length(width)?))
    }
}

/// The length of a vector; 0 for other tensors.
fn length(vector: &TensorProto) -> usize {
    match vector.dims[..] {
        [length] => usize::try_from(length).unwrap_or(0),
        _ => 0,
    }
}
