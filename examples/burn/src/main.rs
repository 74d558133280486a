//! Moments of a burn model's parameters, and pruning of them, on burn's own GPU buffers: nothing is copied, and burn's next
//! forward pass sees what has been cut.
//!
//!     cd examples/burn && cargo run
//!
//! burn makes its device and shares it. Each parameter's place in burn's pooled memory is asked for; from then on it is a buffer
//! like any other. What comes out is compared with what burn says itself.

use std::error::Error;

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Linear, LinearConfig, Relu};
use burn::tensor::{DType, Device, Tensor, wgpu::WgpuSetup};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::wgpu::{AutoCompiler, WgpuServer};
use secateur::Float;
use secateur::gpu::{Gpu, MomentsPass, PrunePass, Rule, Weights};
use secateur::prune::Keep;
use secateur::stats::Grouping;

/// The share of each matrix that is cut.
const RATE: f64 = 0.7;

#[derive(Module, Debug)]
struct Network {
    hidden: Linear,
    output: Linear,
    activation: Relu,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(784, 301).init(device),
            output: LinearConfig::new(301, 10).init(device),
            activation: Relu::new(),
        }
    }

    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.activation.forward(self.hidden.forward(inputs)))
    }
}

/// The matrices among the parameters, as burn holds them.
#[derive(Default)]
struct Matrices {
    path: Vec<String>,
    found: Vec<(String, CubeTensor)>,
    failed: Option<String>,
}

impl ModuleVisitor for Matrices {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D < 2 {
            return;
        }
        match param.val().try_into_primitive::<CubeBackend>() {
            Ok(tensor) => self.found.push((self.path.join("."), tensor)),
            Err(error) => self.failed = Some(format!("{error:?}")),
        }
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

/// Where burn's pool holds a tensor.
fn weights(tensor: &CubeTensor) -> Result<Weights, Box<dyn Error>> {
    let float = match tensor.dtype {
        DType::F32 => Float::F32,
        DType::F16 => Float::F16,
        DType::BF16 => Float::BF16,
        other => return Err(format!("{other:?} is no format that is analysed").into()),
    };
    if !tensor.is_contiguous() {
        return Err("a parameter that does not lie row by row".into());
    }
    // What burn has recorded so far is submitted: it comes before what is recorded here.
    tensor.client.flush()?;
    let held = tensor.client.get_resource::<WgpuServer<AutoCompiler>>(tensor.handle.clone())?;
    let place = held.resource();
    let shape: Vec<u64> = tensor.meta.shape().iter().map(|n| *n as u64).collect();
    Ok(Weights::new(&place.buffer, place.offset, float, &shape)?)
}

fn values(tensor: Tensor<2>) -> Result<Vec<f32>, Box<dyn Error>> {
    tensor.into_data().try_into_vec().map_err(|e| format!("{e:?}").into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (device, WgpuSetup { device: wgpu_device, queue, adapter, .. }) = Device::wgpu_options().init_with_setup()?;
    println!("on {}, shared with burn", adapter.get_info().name);
    let gpu = Gpu::from_wgpu(wgpu_device, queue)?;

    let network = Network::new(&device);
    let inputs = Tensor::<2>::ones([4, 784], &device);
    let before = network.forward(inputs.clone()).sum().into_scalar::<f32>();
    let dense = [values(network.hidden.weight.val())?, values(network.output.weight.val())?];

    let mut matrices = Matrices::default();
    network.visit(&mut matrices);
    if let Some(error) = matrices.failed {
        return Err(error.into());
    }
    let weights: Vec<Weights> = matrices.found.iter().map(|(_, tensor)| weights(tensor)).collect::<Result<_, _>>()?;

    let moments = MomentsPass::new(&gpu, &weights, Grouping::Tensor)?.run()?.wait()?;
    let of_burn = [network.hidden.weight.val(), network.output.weight.val()];
    for (((name, _), found), tensor) in matrices.found.iter().zip(&moments).zip(of_burn) {
        let found = found.whole().ok_or("magnitudes beyond what a GPU is good for")?;
        let (mean, deviation) = (found.mean().unwrap_or(0.0), found.variance().unwrap_or(0.0).sqrt());
        println!("{name}: mean {mean:.3e}, σ {deviation:.4}, kurtosis {:.3}", found.kurtosis().unwrap_or(f64::NAN));
        let same = tensor.mean().into_scalar::<f32>();
        assert!((f64::from(same) - mean).abs() < 1e-5 * deviation.max(1e-3), "burn's mean is {same}");
    }

    let prune = PrunePass::new(&gpu, &weights, Rule::Uniform, Keep::Largest)?;
    let cut = prune.run(&prune.amounts(RATE))?.wait()?;
    let after = network.forward(inputs).sum().into_scalar::<f32>();
    let pruned = [values(network.hidden.weight.val())?, values(network.output.weight.val())?];
    for ((((name, _), cut), dense), pruned) in matrices.found.iter().zip(&cut).zip(&dense).zip(&pruned) {
        // What burn reads now: the smallest are gone, and nothing else has changed.
        let mut order: Vec<usize> = (0..dense.len()).collect();
        order.sort_by(|a, b| dense[*a].abs().total_cmp(&dense[*b].abs()));
        let mut want = dense.clone();
        order[..cut.cut as usize].iter().for_each(|i| want[*i] = 0.0);
        assert!(want == *pruned, "{name}: burn sees other weights");
        println!("{name}: {} of {} weights cut, up to |w| = {:.4}", cut.cut, dense.len(), cut.threshold.unwrap_or(0.0));
    }
    assert!(before != after, "the forward pass has not seen the cut");
    println!("forward pass: {before:.4} before, {after:.4} after: burn saw the cut in its own buffers");
    Ok(())
}
