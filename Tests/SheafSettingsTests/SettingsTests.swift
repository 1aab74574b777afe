import Foundation
import OrderedCollections
import SheafBroker
import SheafCore
import SheafFlows
import Testing

@testable import SheafSettings

@Suite struct SettingsTests {
    private static let full = """
        # A configuration with every key.
        broker: amqp://guest:guest@localhost:5672/%2f
        namespace: team-a
        concurrency: 9
        flows:
          wordcount:
            source: texts/*.txt
            format: files
            id: sku
            columns: { text: body, n: count }
            exec: ["wc", "-w", 5, true]
            parameters: { lang: no, n: 1.50, big: 12345678901234567890, code: 007, list: [1, two], none: ~, hex: 0x1F }
            timeout: 60s
            retries: 4
            directory: work
            environment: { A: b, N: 1, YES: yes }
            max_output: 64KiB
            error_policy: stop:10
            max_running: 3
            shuffle: false
            max_records: 100
            strict: true
            dedupe: [title, text]
            tags: { team: search, n: 1 }
        """

    @Test("Every key of a file is read") func readsEveryKey() throws {
        try SettingsFixtures.withFolder(Self.full) { folder in
            let settings = try Settings.load(environment: [:], directory: folder)
            #expect(settings.file == folder + "/sheaf.yaml")
            #expect(settings.directory == folder)
            #expect(settings.broker == .rabbitMQ(url: "amqp://guest:guest@localhost:5672/%2f"))
            #expect(settings.namespace.text == "team-a")
            #expect(settings.concurrency == 9)
            #expect(settings.flows.keys.map(\.text) == ["wordcount", "echo"])
            #expect(settings.warnings.isEmpty)
            let flow = try settings.flow(named: "wordcount")
            #expect(flow.origin == .file(path: "sheaf.yaml", line: 6))
            #expect(flow.source == ["texts/*.txt"])
            #expect(flow.sourceDirectory == folder)
            #expect(flow.format == "files")
            #expect(flow.idField == "sku")
            #expect(flow.columns == ["text": "body", "n": "count"])
            #expect(
                flow.parameters.text == """
                    {"lang":"no","n":1.50,"big":12345678901234567890,"code":"007","list":[1,"two"],"none":null,"hex":31}
                    """
            )
            #expect(
                flow.batch
                    == BatchDefaults(
                        errorPolicy: .stop(above: 10),
                        maxRunning: 3,
                        shuffle: false,
                        maxRecords: 100,
                        strict: true,
                        deduplication: .fields(["title", "text"]),
                        tags: ["team": "search", "n": "1"]
                    )
            )
            let definition = flow.definition()
            #expect(definition.name.text == "wordcount")
            #expect(definition.timeout == .seconds(60))
            #expect(definition.retries == 4)
            #expect(definition.parameters == flow.parameters)
            let exec = try #require(definition.flow as? ExecFlow)
            #expect(exec.program == "wc")
            #expect(exec.arguments.map(\.text) == ["-w", "5", "true"])
            #expect(exec.directory == folder + "/work")
            #expect(exec.environment == ["A": "b", "N": "1", "YES": "yes"])
            #expect(exec.maximumOutput == 65536)
            #expect(exec.withheldVariables == ["SHEAF_BROKER"])
        }
    }

    @Test("Without a file there are defaults and the flow echo") func hasDefaults() throws {
        try SettingsFixtures.withFolder { folder in
            let settings = try Settings.load(environment: [:], directory: folder)
            #expect(settings.file == nil)
            #expect(settings.broker == .embedded(directory: folder + "/.sheaf"))
            #expect(settings.namespace.text == "sheaf")
            #expect(settings.concurrency == 5)
            #expect(settings.origin(of: "broker") == .builtIn)
            let echo = try settings.flow(named: "echo")
            #expect(echo.origin == .builtIn)
            #expect(echo.flow is EchoFlow)
            #expect(echo.definition().timeout == nil)
            #expect(echo.definition().retries == 2)
            #expect(echo.batch == BatchDefaults())
            #expect(settings.definitions.count == 1)
        }
    }

    @Test(
        "An empty file is a valid configuration",
        arguments: ["", "# nothing\n", "---\n", "flows:\n", "flows: {}\nbroker:\n", "{}"]
    )
    func nothingIsAConfiguration(yaml: String) throws {
        let settings = try SettingsFixtures.load(yaml)
        #expect(settings.flows.keys.map(\.text) == ["echo"])
        #expect(settings.broker.scheme == "embedded")
    }

    @Test("A file may define the flow echo differently") func echoMayBeDefinedOtherwise() throws {
        let settings = try SettingsFixtures.load("flows: { echo: { exec: [cat] } }")
        #expect(settings.flows.count == 1)
        #expect(try settings.flow(named: "echo").flow is ExecFlow)
        let tuned = try SettingsFixtures.load("flows: { echo: { echo: true, retries: 0 }, other: { echo: true } }")
        #expect(try tuned.flow(named: "echo").retries == 0)
        #expect(try tuned.flow(named: "other").flow is EchoFlow)
    }

    @Test("The nearest file in the folders above is read") func findsTheFileInFoldersAbove() throws {
        try SettingsFixtures.withFolder("namespace: above\nflows: { f: { exec: [cat], source: [a, /b, '-'] } }") {
            folder in
            let below = folder + "/one/two"
            try FileManager.default.createDirectory(atPath: below, withIntermediateDirectories: true)
            let settings = try Settings.load(environment: [:], directory: below)
            #expect(settings.namespace.text == "above")
            #expect(settings.directory == folder)
            #expect(settings.broker == .embedded(directory: folder + "/.sheaf"))
            #expect(settings.origin(of: "namespace") == .file(path: folder + "/sheaf.yaml", line: 1))
            let flow = try settings.flow(named: "f")
            #expect(flow.source == ["a", "/b", "-"])
            #expect(flow.sourceDirectory == folder)
            #expect((flow.flow as? ExecFlow)?.directory == folder)
            // Only the nearer file counts.
            try "concurrency: 2".write(toFile: below + "/sheaf.yaml", atomically: true, encoding: .utf8)
            let nearer = try Settings.load(environment: [:], directory: below)
            #expect(nearer.namespace.text == "sheaf")
            #expect(nearer.concurrency == 2)
        }
    }

    @Test("The file that --config or SHEAF_CONFIG names is read") func readsTheFileThatIsNamed() throws {
        try SettingsFixtures.withFolder("namespace: found") { folder in
            try FileManager.default.createDirectory(atPath: folder + "/sub", withIntermediateDirectories: true)
            for (name, namespace) in [("sub/a.yaml", "a"), ("b.yml", "b")] {
                try "namespace: \(namespace)".write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            }
            func load(_ config: String?, _ variable: String?) throws -> Settings {
                try Settings.load(
                    SettingsOverrides(config: config),
                    environment: variable.map { ["SHEAF_CONFIG": $0] } ?? [:],
                    directory: folder
                )
            }
            #expect(try load(nil, nil).namespace.text == "found")
            #expect(try load(nil, "").namespace.text == "found")
            #expect(try load(nil, "b.yml").namespace.text == "b")
            let named = try load("sub/a.yaml", "b.yml")
            #expect(named.namespace.text == "a")
            #expect(named.directory == folder + "/sub")
            #expect(named.broker == .embedded(directory: folder + "/sub/.sheaf"))
            for (config, variable, message) in [
                ("gone.yaml", nil, "--config: 'gone.yaml' cannot be read: No such file or directory"),
                (
                    nil, "gone.yaml",
                    "the environment variable SHEAF_CONFIG: 'gone.yaml' cannot be read: No such file or directory"
                ),
                ("sub", nil, "--config: 'sub' cannot be read: Is a directory"),
            ] as [(String?, String?, String)] {
                let error = try #require(throws: SettingsError.self) { try load(config, variable) }
                #expect(error.description == message)
            }
            try Data([0xFF, 0xFE]).write(to: URL(filePath: folder + "/bytes.yaml"))
            let error = try #require(throws: SettingsError.self) { try load("bytes.yaml", nil) }
            #expect(error.description == "--config: 'bytes.yaml' is not UTF-8 text")
        }
    }

    @Test("The message for an unknown flow lists the known flows") func namesUnknownFlows() throws {
        let settings = try SettingsFixtures.load("flows: { wordcount: { exec: [wc] } }")
        let file = try #require(settings.file)
        #expect(
            settings.unknownFlow("wordcuont")
                == "unknown flow 'wordcuont'; '\(file)' defines wordcount, echo; did you mean 'wordcount'?"
        )
        #expect(throws: SettingsError("unknown flow 'a b'; '\(file)' defines wordcount, echo")) {
            try settings.flow(named: "a b")
        }
        #expect(
            try SettingsFixtures.load(nil).unknownFlow("wordcount")
                == "unknown flow 'wordcount'; there is no sheaf.yaml, and without it the only flow is echo"
        )
    }

    @Test("A template inside a shell script causes a warning") func warnsOfTemplatesInScripts() throws {
        let settings = try SettingsFixtures.load(
            "flows:\n  f:\n    exec:\n      - sh\n      - -c\n      - echo {{text}}\n"
        )
        #expect(settings.warnings.count == 1)
        #expect(
            settings.warnings.first?.description.hasPrefix("sheaf.yaml:6: flows.f.exec[2]: a template inside") == true
        )
    }

    @Test("YAML anchors and merge keys work") func knowsAnchorsAndMerges() throws {
        let settings = try SettingsFixtures.load(
            """
            flows:
              one: &base
                exec: [cat]
                timeout: 5s
                retries: 7
              two:
                <<: *base
                timeout: 1m
              three:
                <<: [{ retries: 1 }, *base]
            """
        )
        #expect(try settings.flow(named: "two").timeout == .seconds(60))
        #expect(try settings.flow(named: "two").retries == 7)
        #expect(try settings.flow(named: "three").retries == 1)
        #expect(try settings.flow(named: "three").timeout == .seconds(5))
    }
}
