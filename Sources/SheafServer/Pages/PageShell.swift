import HTTPTypes
import Hummingbird
import Mustache
import NIOCore

/// What surrounds the content of every page.
struct PageShell {
    /// An entry of the navigation.
    struct Entry {
        let href: String
        let name: String
        let isCurrent: Bool
        /// How many things wait for the reader there, or nil.
        let waiting: String?
    }

    /// The parts of the dashboard, in the order of the navigation.
    enum Part: String, CaseIterable {
        case batches = "Batches"
        case workers = "Workers"
        case flows = "Flows"
        case questions = "Questions"
        case dead = "Dead letters"

        var path: String { self == .batches ? "" : self == .dead ? "dead" : rawValue.lowercased() }
    }

    let base: String
    let style: String
    let script: String
    let icon: String
    let navigation: [Entry]
    /// Whether the browser has signed in with a token, so that it can sign out.
    var isSignedIn: Bool
}

/// A page: its title, its content and the template that joins them.
struct Page {
    let part: PageShell.Part?
    let title: String
    let template: String
    /// The values of the template.
    let content: Any
    /// The address of the events after which the page is worth loading again, below the prefix; nil for none.
    let events: String?
    /// How often to load the page again without events, in seconds; nil for never.
    let interval: Int?
    let status: HTTPResponse.Status

    init(
        _ part: PageShell.Part?,
        _ title: String,
        _ template: String,
        _ content: Any,
        events: String? = nil,
        interval: Int? = nil,
        status: HTTPResponse.Status = .ok
    ) {
        self.part = part
        self.title = title
        self.template = template
        self.content = content
        self.events = events
        self.interval = interval
        self.status = status
    }
}

extension PageFiles {
    /// What a template sees.
    private struct Frame {
        let shell: PageShell
        let title: String
        let events: String?
        let interval: Int?
        let content: Any
    }

    /// Renders a page.
    func text(of page: Page, in shell: PageShell) -> String {
        let frame = Frame(
            shell: shell,
            title: page.title,
            events: page.events,
            interval: page.interval,
            content: page.content
        )
        return library.render(frame, withTemplate: page.template) ?? ""
    }

    /// Renders a page as a response; a browser that has it already gets an empty one.
    func response(to request: Request, _ page: Page, in shell: PageShell) -> Response {
        let text = text(of: page, in: shell)
        let tag = EntityTag(text.utf8)
        var headers: HTTPFields = [.eTag: "\"\(tag.digest)\"", .cacheControl: "no-cache"]
        if page.status == .ok, tag.isNamed(in: request.headers[.ifNoneMatch]) {
            return Response(status: .notModified, headers: headers)
        }
        let body = ByteBuffer(string: text)
        headers[.contentType] = "text/html; charset=utf-8"
        headers[.contentLength] = String(body.readableBytes)
        return Response(status: page.status, headers: headers, body: ResponseBody(byteBuffer: body))
    }
}
