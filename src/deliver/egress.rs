//! Where requests may go: every address is looked at when it is connected to, so that a name that is answered differently
//! the second time gets nowhere.
//!
//! A host that the configuration names is the administrator's own choice: it may be on this machine or in a private network,
//! as GitLab, chat and mail servers often are. A host that an event's field can steer may only be a public one. Neither may be
//! link-local, a cloud's metadata service, multicast or unspecified. `egress.allow` lifts all of this for its networks.
//! Through a proxy, names are looked up by the proxy: there only addresses that are written out are looked at here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::Deserialize;

use super::error::{ConfigError, DeliveryError};
use super::http::{Url, causes, is_loopback_host, parse_url};

/// Names and networks that may be listed.
const LISTED_MAX: usize = 1_000;

/// The `egress` section: which networks may be reached, and through what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Egress {
    /// Networks and addresses (`10.1.0.0/16`, `169.254.10.1`) that are reached whatever the rules say.
    pub allow: Vec<Network>,
    /// None: no proxy. `environment`: what `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say. Else the proxy's URL.
    pub proxy: Option<String>,
    /// Hosts, domains and networks that are reached without the proxy, as in `NO_PROXY`.
    pub no_proxy: Vec<String>,
}

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(Self).map_err(|_| {
            let hint = "expected a network such as 10.1.0.0/16, or an address";
            serde::de::Error::custom(format!("`{text}`: {hint}"))
        })
    }
}

/// Where requests go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proxy {
    /// Nowhere.
    None,
    /// What the environment says.
    Environment,
    /// This one.
    Url(Url),
}

impl Egress {
    /// What holds where no configuration is at hand: the rules without exception, and the environment's proxy.
    #[must_use]
    pub fn of_the_machine() -> Self {
        Self { proxy: Some("environment".to_owned()), ..Self::default() }
    }

    /// What is wrong with it: the key, and what to write.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if let Err(error) = self.proxy() {
            found.push(("proxy", format!("{error}, or `environment`")));
        }
        if self.proxy.is_none() && !self.no_proxy.is_empty() {
            found.push(("no_proxy", "it needs `proxy`".to_owned()));
        }
        for (key, count) in [("allow", self.allow.len()), ("no_proxy", self.no_proxy.len())] {
            if count > LISTED_MAX {
                found.push((key, format!("at most {LISTED_MAX} can be listed")));
            }
        }
        found
    }

    pub(super) fn proxy(&self) -> Result<Proxy, ConfigError> {
        match self.proxy.as_deref() {
            None => Ok(Proxy::None),
            Some("environment") => Ok(Proxy::Environment),
            Some(url) => parse_url(url).map(Proxy::Url),
        }
    }

    /// Why this address is not to be reached, in a few words.
    fn refusal(&self, address: IpAddr, is_named: bool) -> Option<&'static str> {
        let address = embedded(address);
        if self.allow.iter().any(|Network(net)| net.contains(&address)) {
            return None;
        }
        never(address).or_else(|| if is_named { None } else { inside(address) })
    }
}

/// An address of IPv4 that is written as one of IPv6: mapped, translated (RFC 2765), 6to4 (RFC 3056) or NAT64 (RFC 6052).
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let segments = six.segments();
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] if (high, low) != (0, 0) && (high, low) != (0, 1) => {
            four(high, low)
        }
        [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x2002, high, low, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => four(high, low),
        _ => address,
    }
}

/// What nobody has a reason to send an alert to.
fn never(address: IpAddr) -> Option<&'static str> {
    const METADATA: [IpAddr; 3] = [
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
        IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    ];
    if METADATA.contains(&address) {
        return Some("a cloud's metadata service");
    }
    match address {
        IpAddr::V4(four) if four.is_link_local() => Some("link-local, as a cloud's metadata service is"),
        IpAddr::V4(four) if four.octets().first() == Some(&0) => Some("unspecified"),
        IpAddr::V4(four) if four.is_broadcast() || four.octets().first() >= Some(&240) => Some("reserved"),
        IpAddr::V6(six) if six.is_unicast_link_local() => Some("link-local"),
        // Which address of IPv4 is meant, only whoever translates knows.
        IpAddr::V6(six) if six.segments().starts_with(&[0x64, 0xff9b, 1]) => {
            Some("of a local translation to IPv4 (RFC 8215)")
        }
        IpAddr::V6(six) if six.is_unspecified() => Some("unspecified"),
        other if other.is_multicast() => Some("multicast"),
        _ => None,
    }
}

/// What is not out on the Internet (RFC 1918, 4193, 6598, 6890).
fn inside(address: IpAddr) -> Option<&'static str> {
    match address {
        address if address.is_loopback() => Some("this machine"),
        IpAddr::V4(four) => {
            let [a, b, c, _] = four.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_special = (a, b, c) == (192, 0, 0) || (a == 198 && (18..20).contains(&b));
            (four.is_private() || is_shared || is_special || four.is_documentation())
                .then_some("in a private network")
        }
        IpAddr::V6(six) => {
            let first = six.segments().first().copied().unwrap_or_default();
            let is_private = six.is_unique_local() || first & 0xffc0 == 0xfec0;
            is_private.then_some("in a private network")
        }
    }
}

/// An address that is not to be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host} is refused: {address} is {what}; if it is meant, put it into `egress.allow`")]
pub(super) struct Refused {
    host: String,
    address: IpAddr,
    what: &'static str,
    /// Whether the host was steered by an event, so that another try has no other end.
    is_steered: bool,
}

/// The rules, for one client.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    egress: Arc<Egress>,
    /// The hosts that the configuration names: the receiver's, unless a template makes it, and the proxy's.
    named: Arc<[String]>,
}

impl Gate {
    /// For the receiver of this URL, or of this beginning of one.
    pub(super) fn new(url: &str, egress: &Egress) -> Result<Self, ConfigError> {
        let host = named_host(url);
        let proxy = egress.proxy()?;
        let through = match &proxy {
            Proxy::None => Vec::new(),
            Proxy::Url(url) => url.host_str().map(plain).into_iter().collect(),
            Proxy::Environment => proxies_of(|name| std::env::var(name).ok()),
        };
        let named = host.into_iter().chain(through).collect();
        Ok(Self { egress: Arc::new(egress.clone()), named })
    }

    /// Looks at a URL before it is asked: an address that is written out is never looked up.
    pub(super) fn check(&self, url: &Url) -> Result<(), Refused> {
        let Some(host) = url.host_str().map(plain) else { return Ok(()) };
        match host.parse::<IpAddr>() {
            Ok(address) => self.look(&host, address, self.named.contains(&host)),
            Err(_) => Ok(()),
        }
    }

    fn look(&self, host: &str, address: IpAddr, is_named: bool) -> Result<(), Refused> {
        match self.egress.refusal(address, is_named) {
            None => Ok(()),
            Some(what) => Err(Refused { host: host.to_owned(), address, what, is_steered: !is_named }),
        }
    }
}

impl Resolve for Gate {
    fn resolve(&self, name: Name) -> Resolving {
        let (gate, host) = (self.clone(), plain(name.as_str()));
        Box::pin(async move {
            let is_named = gate.named.contains(&host);
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let (mut allowed, mut refused) = (Vec::new(), None);
            for address in found {
                match gate.look(&host, address.ip(), is_named) {
                    Ok(()) => allowed.push(address),
                    Err(refusal) => refused = Some(refusal),
                }
            }
            match (allowed.is_empty(), refused) {
                (true, Some(refusal)) => Err(refusal.into()),
                _ => {
                    Ok(Box::new(allowed.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send> as Addrs)
                }
            }
        })
    }
}

/// The hosts of the proxies that an environment names. A proxy may be written without a scheme.
fn proxies_of(read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    const NAMES: [&str; 6] =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let host = |text: String| {
        let text = text.trim();
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        Url::parse(&url).ok()?.host_str().map(plain)
    };
    NAMES.into_iter().filter_map(read).filter_map(host).collect()
}

/// The host of a URL whose host is written out; none where a template makes any part of it.
pub(super) fn named_host(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    if authority.contains(['{', '}']) {
        return None;
    }
    Url::parse(&format!("{scheme}://{authority}/")).ok()?.host_str().map(plain)
}

/// A host as it is compared: without brackets, the last dot and large letters.
fn plain(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

/// The refusal that an error comes from, if it comes from one.
pub(super) fn refused(error: &reqwest::Error) -> Option<&Refused> {
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return Some(refused);
        }
        source = cause.source();
    }
    None
}

/// A host that an event steered stays refused; what the configuration's own name leads to may change.
pub(super) fn refusal(place: &str, refused: &Refused) -> DeliveryError {
    let reason = format!("{place}: {refused}");
    if refused.is_steered { DeliveryError::permanent(reason) } else { DeliveryError::retryable(reason) }
}

/// Sends requests through what the rules name; never those to this machine, which no proxy can reach for us.
pub(super) fn proxied(
    builder: reqwest::ClientBuilder,
    url: &str,
    egress: &Egress,
) -> Result<reqwest::ClientBuilder, ConfigError> {
    let proxy = if named_host(url).is_some_and(|host| is_loopback_host(&host)) {
        Proxy::None
    } else {
        egress.proxy()?
    };
    Ok(match proxy {
        Proxy::None => builder.no_proxy(),
        Proxy::Environment => builder,
        Proxy::Url(url) => {
            let proxy = reqwest::Proxy::all(url).map_err(|error| ConfigError::Url(causes(&error)))?;
            let except = reqwest::NoProxy::from_string(&egress.no_proxy.join(","));
            builder.no_proxy().proxy(proxy.no_proxy(except))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str, is_named: bool, allow: &[&str]) -> bool {
        let allow = allow.iter().map(|net| Network(net.parse().unwrap())).collect();
        let egress = Egress { allow, ..Egress::default() };
        egress.refusal(address.parse().unwrap(), is_named).is_some()
    }

    #[test]
    fn named_hosts_may_be_inside_and_steered_ones_may_not() {
        let inside = [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "fd12::1",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
            "64:ff9b::a00:1",
            "fec0::1",
            "::ffff:0:10.0.0.1",
        ];
        for address in inside {
            assert!(!refused(address, true, &[]), "{address}");
            assert!(refused(address, false, &[]), "{address}");
        }
        let never = [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "255.255.255.255",
            "240.0.0.1",
            "224.0.0.1",
            "ff02::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "::ffff:0:169.254.169.254",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:1:a9fe:a9:fe00::",
        ];
        for address in never {
            assert!(refused(address, true, &[]) && refused(address, false, &[]), "{address}");
        }
        for address in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "192.169.0.1",
            "::ffff:0:8.8.8.8",
            "64:ff9b:2::1",
        ] {
            assert!(!refused(address, true, &[]) && !refused(address, false, &[]), "{address}");
        }
        assert!(!refused("169.254.10.1", false, &["169.254.10.0/24"]));
        assert!(!refused("::ffff:10.0.0.1", false, &["10.0.0.0/8"]));
        assert!(refused("10.1.0.1", false, &["10.0.0.0/16"]));
    }

    #[test]
    fn a_host_is_named_only_if_no_template_makes_any_of_it() {
        for (url, host) in [
            ("https://gitlab.example.com/api/{{ x }}", Some("gitlab.example.com")),
            ("https://GitLab.example.com.:8443?x={{ x }}", Some("gitlab.example.com")),
            ("http://[::1]:80/x", Some("::1")),
            ("http://0x7f.1/", Some("127.0.0.1")),
            ("https://{{ host }}/", None),
            ("https://api.example.com{{ path }}", None),
            ("https://api.example.com@{{ path }}/", None),
            ("https://{% if x %}a{% endif %}.example.com/", None),
            ("nonsense", None),
        ] {
            assert_eq!(named_host(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn the_proxies_of_the_environment_are_named() {
        let found = proxies_of(|name| match name {
            "HTTPS_PROXY" => Some("http://user:word@Proxy.internal:3128".to_owned()),
            "http_proxy" => Some("other.internal:8080".to_owned()),
            "ALL_PROXY" => Some(String::new()),
            _ => None,
        });
        assert_eq!(found, ["other.internal", "proxy.internal"]);
    }

    #[test]
    fn an_address_that_is_written_out_is_looked_at() {
        let gate = Gate::new("https://{{ host }}/x", &Egress::default()).unwrap();
        for url in [
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://2130706433/",
            "http://0xa9.254.43518/",
            "http://10.0.0.1:99/",
        ] {
            let refused = gate.check(&Url::parse(url).unwrap()).unwrap_err();
            assert!(refused.is_steered && refused.to_string().contains("egress.allow"), "{url}");
        }
        assert!(gate.check(&Url::parse("http://8.8.8.8/").unwrap()).is_ok());
        let gate = Gate::new("http://10.0.0.1/x", &Egress::default()).unwrap();
        assert!(gate.check(&Url::parse("http://10.0.0.1/y").unwrap()).is_ok());
        assert!(
            gate.check(&Url::parse("http://10.0.0.2/y").unwrap()).is_err(),
            "only the one that was named"
        );
    }

    #[tokio::test]
    async fn a_name_is_looked_at_by_what_it_leads_to() {
        let lookup = async |url: &str| {
            let gate = Gate::new(url, &Egress::default()).unwrap();
            gate.resolve("localhost".parse().unwrap()).await.map(Iterator::count)
        };
        assert!(lookup("http://localhost/").await.unwrap() > 0);
        let error = lookup("http://{{ host }}/").await.err().unwrap();
        assert!(error.to_string().contains("localhost is refused"), "{error}");
        assert!(
            lookup("http://elsewhere.example/").await.is_err(),
            "another name than the one that was named"
        );
    }

    async fn get(url: &str, egress: &Egress) -> Result<u16, DeliveryError> {
        use crate::deliver::{Http, HttpOptions, Method, Request};
        let options = HttpOptions { url, timeout: crate::time::Span::seconds(20), ca: None };
        let http = Http::within(&options, Vec::new(), egress).unwrap();
        let request = Request {
            method: Method::GET,
            url: Url::parse(url).unwrap(),
            headers: Default::default(),
            body: None,
        };
        http.send(request, crate::time::Timestamp(0)).await.map(|answer| answer.status)
    }

    #[tokio::test]
    async fn requests_go_through_the_proxy_that_is_configured_and_no_other() {
        use crate::action::stand_in::{Say, StandIn};
        let proxy = StandIn::start(vec![Say::status(299)]).await;
        let egress =
            Egress { proxy: Some(proxy.url()), no_proxy: vec!["direct.invalid".into()], ..Egress::default() };
        assert_eq!(get("http://chat.invalid/x", &egress).await.unwrap(), 299);
        assert_eq!(proxy.calls(), ["GET http://chat.invalid/x"], "whose name it looks up");
        assert!(get("http://direct.invalid/x", &egress).await.is_err(), "nobody knows that name");
        let there = StandIn::start(vec![Say::status(200)]).await;
        assert_eq!(get(&there.url(), &egress).await.unwrap(), 200, "this machine is reached without a proxy");
        assert!(get("http://chat.invalid/x", &Egress::default()).await.is_err());
        assert_eq!(proxy.calls().len(), 1);
        let refused = get("http://169.254.169.254/latest/meta-data", &egress).await.unwrap_err();
        assert!(refused.reason().contains("is refused"), "through a proxy, too: {refused}");
    }

    #[test]
    fn mistakes_are_told() {
        let read = |text: &str| serde_yaml::from_str::<Egress>(text);
        assert!(read("{allow: [10.0.0.0/8, 192.168.1.1, '::1']}").unwrap().problems().is_empty());
        assert!(read("{allow: [ten]}").unwrap_err().to_string().contains("10.1.0.0/16"));
        assert_eq!(read("{proxy: 'proxy:8080'}").unwrap().problems()[0].0, "proxy");
        assert_eq!(read("{no_proxy: [a]}").unwrap().problems()[0].0, "no_proxy");
        assert!(read("{proxy: environment, no_proxy: []}").unwrap().problems().is_empty());
    }
}
