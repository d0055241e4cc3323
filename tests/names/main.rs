//! Names and proxies: `mongodb+srv` by name servers and by a resolver in code, and connections through SOCKS5 proxies.

mod name_servers;
mod proxies;
mod resolver;
#[cfg(target_os = "linux")]
mod system;
