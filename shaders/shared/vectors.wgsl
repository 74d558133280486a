// The data as vectors of 16 bytes.
fn vector(v: u32) -> vec4<u32> {
    return data[v];
}

