import Foundation
import Logging
import OrderedCollections
import SheafCore
import SheafFormats
import SheafTestSupport
import Testing

@testable import SheafServer

@Suite("The description of the API") struct DescriptionTests {
    @Test("It describes every route of the API, and no other")
    func routes() async throws {
        try await Stage.with(.embedded) { stage in
            try await stage.client { client in
                let server = Server(client: client, options: ServerOptions(), logger: Logger(label: "server"))
                let described = APIDescription.operations.map(\.request)
                #expect(Set(described).count == described.count)
                let signIn = ["GET /login", "POST /login", "POST /logout"]
                // The pages and their files, which are for browsers.
                let pages = try Regex("GET /((batches|assets|dead)(/.*)?|new|workers|flows|questions)?")
                let routes = try await server.assemble().routes.filter { route in
                    !signIn.contains(route) && route.wholeMatch(of: pages) == nil
                }
                #expect(Set(described).subtracting(routes) == [], "these are described, but there is no such route")
                #expect(Set(routes).subtracting(described) == [], "these routes are not described")
            }
        }
    }

    @Test("It is served with an ETag, and needs a token like any other reading request")
    func served() async throws {
        let path = "/openapi.json"
        try await ServerTestBench.withTokens { bench in
            #expect(try await bench.send("GET", path).status == 401)
            let response = try await bench.send("GET", path, token: ServerTestBench.reader)
            #expect(response.status == 200 && response.headers["content-type"] == "application/json")
            let json = try response.json
            #expect(json["openapi"] == "3.1.0" && json["info"]?["version"] == .string(SheafVersion.current))
            #expect(json["servers"] == [["url": "/"]])
            #expect(json["paths"]?["/api/batches"]?["post"]?["security"]?.arrayValue?.first == ["bearer": ["write"]])
            let tag = try #require(response.headers["etag"])
            let headers = ["Authorization": "Bearer \(ServerTestBench.reader)", "If-None-Match": tag]
            #expect(try await bench.send("GET", path, headers).status == 304)
            let refusal = try await bench.send("POST", path, token: ServerTestBench.writer)
            #expect(refusal.status == 405 && refusal.headers["allow"] == "GET, HEAD, OPTIONS")
        }
    }

    @Test("Its server is the prefix, or the public URL with the prefix")
    func servers() {
        var options = ServerOptions()
        options.prefix = "/sheaf"
        #expect(APIDescription.document(for: options)["servers"] == [["url": "/sheaf"]])
        options.publicURL = "https://sheaf.example.org"
        #expect(APIDescription.document(for: options)["servers"] == [["url": "https://sheaf.example.org/sheaf"]])
        #expect(APIDescription.document(for: options)["components"]?["securitySchemes"] == nil)
    }

    @Test("Every reference leads to a part of the document, and every part is used")
    func references() throws {
        let document = APIDescription.document(for: ServerOptions())
        let used = Set(document.text.matches(of: /"#\/components\/([A-Za-z0-9\/]+)"/).map { String($0.1) })
        let parts = ["schemas", "responses"].flatMap { kind in
            (document["components"]?[kind]?.objectValue ?? [:]).keys.map { "\(kind)/\($0)" }
        }
        #expect(used == Set(parts))
    }

    @Test("Each route knows the query parameters that are described, and no others")
    func parameters() async throws {
        try await ServerTestBench.with { bench in
            let unchecked = ["createBatch", "getHealth", "getReadiness", "getMetrics"]
            for operation in APIDescription.operations where !unchecked.contains(operation.id) {
                let parts = operation.request.replacing(/\{[a-z]+\}/, with: "1").split(separator: " ")
                let answer = try await bench.send(String(parts[0]), "\(parts[1])?no-such-parameter=1")
                let names = operation.parameters.filter(\.isInQuery).map(\.name).sorted()
                let known = names.isEmpty ? "there are none" : names.joined(separator: ", ")
                let detail = "unknown parameter 'no-such-parameter'; known parameters: \(known)"
                #expect(answer.status == 400, "\(operation.id)")
                #expect(try answer.json["detail"] == .string(detail), "\(operation.id)")
            }
        }
    }

    @Test("A creation knows the options that are described, in JSON, in a form and in the query")
    func options() throws {
        let document = APIDescription.document(for: ServerOptions())
        let create = try #require(document["paths"]?["/api/batches"]?["post"])
        let content = try #require(create["requestBody"]?["content"]?.objectValue)
        let members = try #require(content["application/json"]?["schema"]?["anyOf"]?.arrayValue?.first?["properties"])
        let known = Set(CreationOptions.names + ["flow_name", "flow_parameters"])
        #expect(Set(try #require(members.objectValue).keys) == known)
        let texts = known.subtracting(["records"]).union(["tag", "parameter"])
        let fields = try #require(content["multipart/form-data"]?["schema"]?["properties"]?.objectValue)
        #expect(Set(fields.keys) == texts.union(["file"]))
        let parameters = create["parameters"]?.arrayValue ?? []
        #expect(Set(parameters.filter { $0["in"] == "query" }.compactMap { $0["name"]?.stringValue }) == texts)
        let types = content.keys.filter { $0 != "multipart/form-data" }
        #expect(Set(types) == Set(Submission.formats.keys))
    }

    @Test("The page on the API has the table of routes as it is described")
    func table() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/http.md"), encoding: .utf8)
        let table = APIDescription.table
        #expect(page.contains("\n\n\(table)\n"), "docs/http.md must have this table under \"Routes\":\n\n\(table)")
    }
}
