//! The command `valetkey`.
fn main() {
    valetkey_gateway::observe::log::start(std::env::var("RUST_LOG").ok().as_deref()).expect("first");
    let file = std::env::args().skip_while(|a| a != "--config").nth(1).expect("--config FILE");
    let settings = valetkey_gateway::settings::Settings::load(std::path::Path::new(&file)).expect("settings");
    valetkey_gateway::serve::run(settings, |a| eprintln!("listening on {a}")).expect("serve");
}
