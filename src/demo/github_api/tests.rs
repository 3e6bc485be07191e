//! What the stand-in answers, against what GitHub's documentation says.

use axum::http::Method;

use super::*;

fn world() -> GithubWorld {
    let account = |id, login: &str, site_admin| SimAccount {
        id,
        login: login.into(),
        kind: "User",
        site_admin,
        suspended: false,
    };
    let accounts = [account(1, "watchfire", true), account(7, "mona", false), account(8, "guest", false)];
    let member = |role: &str| SimMembership { role: role.into(), pending: false };
    let token = |secret: &str, account, scopes: &[&'static str]| GithubToken {
        secret: secret.into(),
        account,
        scopes: scopes.to_vec(),
    };
    let organization = SimOrganization {
        members: [(1, member("admin")), (7, member("member"))].into(),
        credentials: [(161, SimCredential { login: "mona".into(), kind: "SSH key" })].into(),
        ..SimOrganization::default()
    };
    GithubWorld {
        accounts: accounts.into_iter().map(|account| (account.id, account)).collect(),
        tokens: vec![
            token("owner", 1, &["admin:org", "site_admin"]),
            token("weak", 1, &["read:org"]),
            token("mona", 7, &["admin:org"]),
        ],
        organizations: [("acme".to_owned(), organization)].into(),
        is_server: true,
    }
}

#[tokio::test]
async fn it_answers_as_github_does() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let api = GithubApi::of(world()).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().user_agent("test").build().unwrap();
    for (token, line, status) in [
        ("nobody", "GET user", 401),
        ("owner", "GET user", 200),
        ("owner", "GET user/7", 200),
        ("owner", "GET user/99", 404),
        ("owner", "GET users/MONA", 200),
        ("owner", "GET orgs/acme/memberships/mona", 200),
        ("owner", "GET orgs/acme/memberships/guest", 404),
        ("owner", "GET orgs/other/memberships/mona", 404),
        ("weak", "GET orgs/acme/blocks", 404),
        ("weak", "PUT orgs/acme/blocks/guest", 404),
        ("owner", "GET orgs/acme/blocks", 200),
        ("owner", "GET orgs/acme/blocks/guest", 404),
        ("owner", "PUT orgs/acme/blocks/mona", 422),
        ("owner", "PUT orgs/acme/blocks/guest", 204),
        ("owner", "PUT orgs/acme/blocks/guest", 422),
        ("owner", "GET orgs/acme/blocks/guest", 204),
        ("owner", "DELETE orgs/acme/blocks/guest", 204),
        ("owner", "DELETE orgs/acme/blocks/guest", 404),
        ("mona", "DELETE orgs/acme/memberships/mona", 403),
        ("weak", "DELETE orgs/acme/memberships/mona", 403),
        ("owner", "DELETE orgs/acme/memberships/watchfire", 403),
        ("owner", "DELETE orgs/acme/memberships/mona", 204),
        ("owner", "DELETE orgs/acme/memberships/mona", 404),
        ("owner", "PUT orgs/acme/memberships/mona", 200),
        ("mona", "GET orgs/acme/credential-authorizations", 404),
        ("owner", "GET orgs/acme/credential-authorizations", 200),
        ("owner", "DELETE orgs/acme/credential-authorizations/161", 204),
        ("owner", "DELETE orgs/acme/credential-authorizations/161", 404),
        ("mona", "PUT users/guest/suspended", 403),
        ("owner", "PUT users/watchfire/suspended", 403),
        ("owner", "PUT users/mona/suspended", 204),
        ("mona", "GET user", 403),
        ("owner", "DELETE users/mona/suspended", 204),
        ("mona", "GET user", 200),
    ] {
        let (method, path) = line.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = client.request(method, format!("{}/{path}", api.url())).bearer_auth(token).send();
        assert_eq!(answer.await.unwrap().status().as_u16(), status, "{token}: {line}");
    }
    let invited = &api.world().organizations["acme"].members[&7];
    assert!(invited.pending && invited.role == "member", "who was removed comes back by invitation only");
}
