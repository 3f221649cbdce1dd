//! Lists are whole or an error.

use granary_net::{Http, HttpOptions};
use granary_oci::Tag;
use granary_registry::{Class, Registry, RegistryOptions};
use granary_testkit::image::ImageBuilder;
use granary_testkit::registry::{Action, Fault, LastPage, LinkStyle, Options, Registry as Server};

use crate::support::{anonymous, app, chain, options};

fn server_with_tags(options: Options, count: usize) -> Server {
    let server = Server::start(options);
    let names: Vec<String> = (0..count).map(|number| format!("1.0.{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    server.put_image("acme/app", &names, &ImageBuilder::new("linux/amd64").build());
    server
}

#[tokio::test]
async fn every_way_of_paging_gives_the_whole_list() {
    let table = [
        Options { page_size: Some(100), ..Options::default() },
        Options { page_size: Some(100), last_page: LastPage::LinkToEmpty, ..Options::default() },
        Options { page_size: Some(100), last_page: LastPage::LinkToItself, ..Options::default() },
        Options { page_size: Some(100), link_style: LinkStyle::Absolute, ..Options::default() },
        Options { page_size: Some(100), link_style: LinkStyle::Unquoted, ..Options::default() },
        Options::docker_registry_2_8(),
        Options::gitea(),
    ];
    for options in table {
        let server = server_with_tags(options.clone(), 450);
        let tags = anonymous(&server).tags(&app()).await.unwrap();
        assert_eq!(tags.len(), 450, "{options:?}");
        assert!(tags.is_sorted(), "{options:?}");
        assert!(tags.iter().any(|tag| tag.as_str() == "1.0.449"), "{options:?}");
    }
}

#[tokio::test]
async fn one_request_where_one_is_enough() {
    let server = server_with_tags(Options::default(), 900);
    let registry = anonymous(&server);
    assert_eq!(registry.tags(&app()).await.unwrap().len(), 900);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].target(), "/v2/acme/app/tags/list?n=1000");
}

#[tokio::test]
async fn only_an_unknown_name_is_empty() {
    let server = Server::start(Options::default());
    assert_eq!(anonymous(&server).existing_tags(&app()).await.unwrap(), None);
    assert_eq!(anonymous(&server).tags(&app()).await.unwrap(), Vec::<Tag>::new());
    let answer = |code: u16, body: &str| Action::Status { code, headers: Vec::new(), body: body.to_owned() };
    let table = [
        (answer(404, "404 page not found"), Class::NotFound),
        (answer(403, "<html>login</html>"), Class::Auth),
        (answer(400, ""), Class::Protocol),
        (answer(200, "<html>login</html>"), Class::Protocol),
        (answer(200, r#"{"tags":{}}"#), Class::Protocol),
        (answer(503, ""), Class::Unavailable),
        (Action::ResetBefore, Class::Unavailable),
    ];
    for (action, class) in table {
        server.fault(Fault::on("GET", "/tags/list", action.clone()).times(2));
        let registry = Registry::new(
            server.host().parse().unwrap(),
            Http::new(HttpOptions::default()).unwrap(),
            RegistryOptions { attempts: 2, ..options() },
        );
        let error = registry.tags(&app()).await.unwrap_err();
        assert_eq!(error.class(), class, "{action:?}: {}", chain(&error));
        server.clear_faults();
    }
}

#[tokio::test]
async fn a_page_that_fails_half_way_fails_the_list() {
    let server = server_with_tags(Options { page_size: Some(100), ..Options::default() }, 250);
    server.fault(Fault::on("GET", "last=", Action::status(403)).after(1).times(usize::MAX));
    let error = anonymous(&server).tags(&app()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "listing tags of {}/acme/app: the registry answered 403 Forbidden: DENIED scripted fault",
            server.host()
        )
    );
}

#[tokio::test]
async fn null_tags_and_names_that_are_none() {
    let server = Server::start(Options::default());
    let answer = |body: &str| Action::Status { code: 200, headers: Vec::new(), body: body.to_owned() };
    server.fault(Fault::on("GET", "/tags/list", answer(r#"{"name":"acme/app","tags":null}"#)));
    assert_eq!(anonymous(&server).tags(&app()).await.unwrap(), Vec::<Tag>::new());
    server.fault(Fault::on("GET", "/tags/list", answer(r#"{"tags":["ok","../x",""]}"#)));
    let tags = anonymous(&server).tags(&app()).await.unwrap();
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["ok"]);
}

#[tokio::test]
async fn no_list_is_followed_to_another_host() {
    let server = Server::start(Options::default());
    let elsewhere = Server::start(Options::default());
    // The same machine by another name is another host.
    let link = format!("<http://localhost:{}/v2/acme/app/tags/list?last=a>; rel=\"next\"", elsewhere.port());
    let body = r#"{"tags":["a"]}"#.to_owned();
    server.fault(Fault::on(
        "GET",
        "/tags/list",
        Action::Status { code: 200, headers: vec![("Link".to_owned(), link)], body },
    ));
    let error = anonymous(&server).tags(&app()).await.unwrap_err();
    assert!(error.to_string().contains("refusing to follow the list elsewhere"), "{error}");
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_list_without_end_ends_in_an_error() {
    // A server that makes up a new tag for every page.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut page = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            while let Ok(1..) = stream.read(&mut head).await {
                page += 1;
                let body = format!(r#"{{"tags":["t{page}"]}}"#);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nLink: </v2/acme/app/tags/list?last=t{page}>; rel=\"next\"\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    let http = Http::new(HttpOptions::default()).unwrap();
    let registry = Registry::new(address.to_string().parse().unwrap(), http, options());
    let error = registry.tags(&app()).await.unwrap_err();
    assert!(error.to_string().ends_with("the list has more than 1000 pages"), "{error}");
}

#[tokio::test]
async fn passing_trouble_is_waited_out() {
    let server = server_with_tags(Options::default(), 3);
    server.fault(Fault::on("GET", "/tags/list", Action::status(503)).times(2));
    server.fault(Fault::on("GET", "/tags/list", Action::ResetAfter));
    server.fault(Fault::on("GET", "/tags/list", Action::ResetResponseAt(5)));
    assert_eq!(anonymous(&server).tags(&app()).await.unwrap().len(), 3);
    assert_eq!(server.faults_left(), 0);
    server.clear_log();
    server.fault(Fault::on("GET", "/tags/list", Action::too_many_requests(1)));
    assert_eq!(anonymous(&server).tags(&app()).await.unwrap().len(), 3);
    let requests = server.requests();
    assert!(requests[1].at - requests[0].at >= std::time::Duration::from_secs(1), "Retry-After is a minimum");
}

#[tokio::test]
async fn nobody_waits_beyond_the_deadline() {
    let server = server_with_tags(Options::default(), 3);
    server.fault(Fault::on("GET", "/tags/list", Action::too_many_requests(3600)).times(usize::MAX));
    let began = std::time::Instant::now();
    let error = anonymous(&server).tags(&app()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    assert!(began.elapsed() < std::time::Duration::from_secs(60));
    assert_eq!(server.requests().len(), 1);
}

/// What is no tag list must not be taken for an empty one: numbering would begin anew below production.
#[tokio::test]
async fn a_document_without_tags_is_no_tag_list() {
    for body in ["{}", r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#, r#"{"name":"acme/app"}"#, "[]", "<html>"] {
        let registry = server_with_tags(Options::default(), 3);
        let action = Action::Status { code: 200, headers: Vec::new(), body: body.into() };
        registry.fault(Fault::on("GET", "tags/list", action).times(usize::MAX));
        let error = anonymous(&registry).tags(&app()).await.unwrap_err();
        assert_eq!(error.class(), Class::Protocol, "{body}: {error}");
    }
}

/// An empty page is not the end where it links on, and the list of another repository is not this one's.
#[tokio::test]
async fn only_the_last_page_ends_a_list() {
    let page = |body: &str, link: &str| Action::Status {
        code: 200,
        headers: vec![("Link".to_owned(), link.to_owned())],
        body: body.into(),
    };
    let registry = server_with_tags(Options::default(), 3);
    registry.fault(Fault::on(
        "GET",
        "n=1000",
        page(r#"{"tags":[]}"#, "</v2/acme/app/tags/list?last=x>; rel=next"),
    ));
    registry.fault(Fault::on(
        "GET",
        "last=x",
        page(r#"{"tags":["9.9.9"]}"#, "</v2/acme/app/tags/list?last=x>; rel=next"),
    ));
    let tags = anonymous(&registry).tags(&app()).await.unwrap();
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["9.9.9"]);

    let registry = server_with_tags(Options::default(), 3);
    registry.fault(Fault::on(
        "GET",
        "n=1000",
        page(r#"{"tags":["1.0.0"]}"#, "</v2/other/tags/list?last=x>; rel=next"),
    ));
    let error = anonymous(&registry).tags(&app()).await.unwrap_err();
    assert_eq!(error.class(), Class::Protocol, "{error}");
}

/// "No such repository" is an answer to the first question only. In the middle of a list (deleted between two
/// pages, another server behind the same name) it must not turn the versions of the first page into none.
#[tokio::test]
async fn a_repository_that_is_unknown_on_its_second_page_is_an_error() {
    for code in ["NAME_UNKNOWN", "NOT_FOUND"] {
        let server = server_with_tags(Options { page_size: Some(100), ..Options::default() }, 250);
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"repository name not known"}}]}}"#);
        let gone = Action::Status { code: 404, headers: Vec::new(), body };
        server.fault(Fault::on("GET", "last=", gone).times(usize::MAX));
        let error = anonymous(&server).existing_tags(&app()).await.unwrap_err();
        assert_eq!(error.class(), Class::NotFound, "{code}: {error}");
        anonymous(&server).tags(&app()).await.unwrap_err();
    }
}
