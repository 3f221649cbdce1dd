#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
use granary_registry::*; use granary_net::*; use granary_oci::*; use granary_redact::Secret; use std::time::*;
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let a: Vec<String> = std::env::args().collect();
    let http = Http::new(HttpOptions::default()).unwrap();
    let mut o = RegistryOptions::new(Deadline::after(Duration::from_secs(300)));
    if a.len() > 4 { o.credentials = Credentials::password(a[4].clone(), Secret::new(a[5].clone())); }
    let r = Registry::new(a[1].parse().unwrap(), http, o);
    let repo: Repository = a[2].parse().unwrap();
    println!("{:?}", r.existing_tags(&repo).await);
    let f = std::fs::File::open(&a[3]).unwrap(); let size = f.metadata().unwrap().len();
    let digest: Digest = std::fs::read_to_string(format!("{}.sha256", a[3])).unwrap().trim().parse().unwrap();
    let d = Descriptor::new("application/vnd.oci.image.layer.v1.tar", digest, size);
    let t = Instant::now();
    println!("{:?}", r.push_blob(&repo, &d, &BlobSource::File{path: a[3].clone().into(), offset: 0}, &PushOptions::default()).await);
    println!("push {:?}", t.elapsed());
    let e = empty_descriptor();
    println!("{:?}", r.push_blob(&repo, &e, &BlobSource::Bytes(EMPTY_JSON.into()), &PushOptions::default()).await);
    let m = ArtifactManifest::new("application/x").with_layers(vec![d.clone()]).build();
    println!("{:?}", r.put_manifest(&repo, &"1.0.0".parse::<Tag>().unwrap().into(), &m).await);
    r.put_tags(&repo, &m, &["a".parse().unwrap(), "b".parse().unwrap()]).await.unwrap();
    let ev = ArtifactManifest::new("application/ev").with_subject(&m.descriptor()).build();
    println!("{:?}", r.attach(&repo, &m.descriptor(), &ev).await);
    println!("{:?}", r.referrers(&repo, m.digest(), Some("application/ev")).await);
    println!("{:?}", r.tags(&repo).await);
    let c = r.read_content(&repo, m.digest(), &CopyOptions{referrers:true}).await.unwrap();
    let t = Instant::now();
    println!("{:?} {:?}", r.push_content(&format!("{repo}-copy").parse().unwrap(), &c, &TransferOptions::default()).await, t.elapsed());
    println!("{:?} {:?}", r.push_content(&format!("{repo}-copy").parse().unwrap(), &c, &TransferOptions::default()).await, t.elapsed());
    println!("{:?}", std::fs::read_to_string("/proc/self/status").unwrap().lines().find(|l| l.starts_with("VmHWM")));
    println!("{:?}", r.server_time());
}
