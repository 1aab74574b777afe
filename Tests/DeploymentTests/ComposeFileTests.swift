import ArgumentParser
import Foundation
import OrderedCollections
import SheafCore
import SheafSettings
import Testing

@testable import SheafCommands

@Suite("Files for Docker Compose") struct ComposeFileTests {
    @Test("Every YAML file below compose/ can be parsed", arguments: ComposeFolder.yamlFiles)
    func parses(file: String) throws {
        let documents = try ComposeFolder.documents(file)
        #expect(!documents.isEmpty)
        for document in documents { #expect(document.objectValue?.isEmpty == false) }
    }

    @Test("The folder has the files that the pages name") func files() {
        #expect(Set(ComposeFolder.yamlFiles).isSuperset(of: ["compose.yaml", "sheaf.yaml", "kubernetes/jobs.yaml"]))
    }

    @Test("Every service has an image, and the commands of Sheaf are valid") func services() throws {
        let services = try #require(try Self.file["services"]?.objectValue)
        var commands: Set<String> = []
        for (name, service) in services {
            #expect((service["image"] == nil) != (service["build"] == nil), "\(name)")
            for other in service.list("depends_on").compactMap(\.stringValue) { #expect(services[other] != nil) }
            for other in service["depends_on"]?.objectValue?.keys.elements ?? [] { #expect(services[other] != nil) }
            guard service["build"] != nil else { continue }
            let arguments = service.list("command").compactMap(\.stringValue)
            let command = try SheafCommand.parseAsRoot(arguments)
            #expect(command is SheafCommand.Run || command is SheafCommand.Serve, "\(arguments)")
            commands.insert(arguments.first ?? "")
            let mounts = service.list("volumes").compactMap(\.stringValue)
            #expect(mounts.contains("./sheaf.yaml:/job/sheaf.yaml:ro"), "\(name)")
        }
        #expect(commands == ["run", "serve"])
    }

    @Test("Sheaf reads sheaf.yaml, and Prometheus scrapes ports and names that services have") func prometheus() throws
    {
        let settings = try Settings.reading(
            try ComposeFolder.text("sheaf.yaml"),
            environment: ["SHEAF_TOKEN": "0123456789abcdef"]
        )
        #expect(settings.warnings.isEmpty && settings.server.missingVariables.isEmpty)
        let jobs = try #require(try ComposeFolder.documents("prometheus/prometheus.yml").first).list("scrape_configs")
        let targets = jobs.flatMap { $0.list("static_configs") }.flatMap { $0.list("targets") }.compactMap(
            \.stringValue
        )
        #expect(targets == ["serve:8080"] && settings.server.allowedHosts.contains("serve"))
        let lookups = jobs.flatMap { $0.list("dns_sd_configs") }
        let arguments = try #require(try Self.file.at("services.worker")).list("command").compactMap(\.stringValue)
        let worker = try #require(try SheafCommand.parseAsRoot(arguments) as? SheafCommand.Run)
        let lookup = try #require(lookups.count == 1 ? lookups.first : nil)
        #expect(lookup.at("port")?.intValue == worker.metrics?.port)
        #expect(lookup.list("names") == ["worker"] && worker.metrics?.host == "0.0.0.0")
    }

    @Test("The image starts sheaf as an ordinary user, in the folder of its configuration") func image() throws {
        let text = try ComposeFolder.text("Dockerfile")
        let last = try #require(text.ranges(of: "FROM ").last)
        let lines = text[last.lowerBound...].split(separator: "\n")
        #expect(lines.contains("ENTRYPOINT [\"sheaf\"]") && lines.contains("WORKDIR /job"))
        let user = lines.first { $0.hasPrefix("USER ") }
        #expect(user?.wholeMatch(of: /USER [1-9][0-9]*/) != nil)
        #expect(text.contains("--product sheaf") && text.contains(".build/release/sheaf /usr/local/bin/sheaf"))
    }

    private static var file: JSONValue {
        get throws { try #require(try ComposeFolder.documents("compose.yaml").first) }
    }
}

extension Settings {
    /// Reads a `sheaf.yaml` from a folder that has nothing else.
    static func reading(_ text: String, environment: [String: String]) throws -> Settings {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sheaf-yaml-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(text.utf8).write(to: folder.appendingPathComponent("sheaf.yaml"))
        return try load(environment: environment, directory: folder.path)
    }
}
