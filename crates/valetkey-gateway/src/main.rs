//! temp
fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let settings = valetkey_gateway::settings::Settings::load(std::path::Path::new(&std::env::args().nth(1).unwrap())).unwrap();
    valetkey_gateway::serve::run(settings, |a| eprintln!("listening on {a}")).unwrap();
}
