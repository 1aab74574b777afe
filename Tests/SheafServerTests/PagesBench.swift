import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import SheafTestTools

/// A page as a browser gets it.
struct BrowserPage: Sendable {
    let status: Int
    let headers: HTTPHeaders
    let text: String

    /// The type of the content.
    var type: String? { headers["content-type"].first }
}

extension ServerTestBench {
    /// Loads a page; redirects are not followed.
    func page(_ path: String, _ headers: [String: String] = [:]) async throws -> BrowserPage {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        request.headers.add(name: "accept", value: "text/html,application/xhtml+xml,*/*;q=0.8")
        for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(20))
        let body = try await response.body.collect(upTo: 8 << 20)
        return BrowserPage(status: Int(response.status.code), headers: response.headers, text: String(buffer: body))
    }

    /// Loads a page again until the condition holds, and returns it; throws after 20 s.
    @discardableResult
    func until(
        _ path: String,
        _ headers: [String: String] = [:],
        _ condition: (BrowserPage) -> Bool
    ) async throws -> BrowserPage {
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            let page = try await page(path, headers)
            if condition(page) { return page }
            guard .now < deadline else { throw TestToolError("not within 20 s: \(path) is as expected\n\(page.text)") }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}

extension Sequence<UInt8> {
    /// Whether the bytes have a part.
    func containsPart(_ part: [UInt8]) -> Bool { Array(self).firstRange(of: part) != nil }
}

extension Array where Element: Sendable {
    /// The elements as an asynchronous sequence.
    var async: AsyncStream<Element> {
        AsyncStream { continuation in
            for element in self { continuation.yield(element) }
            continuation.finish()
        }
    }
}
