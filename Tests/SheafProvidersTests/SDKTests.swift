import Foundation
import SheafTestTools
import Testing

/// The imitations of the providers, driven by the providers' own libraries: what these accept is what the services send.
@Suite("Providers' own libraries", .timeLimit(.minutes(5))) struct SDKTests {
    /// A library, by its name and the version of `make test`.
    enum Library: String, CaseIterable {
        case openai = "openai==3.57.0"
        case anthropic = "anthropic==2.14.0"
        case gemini = "google-genai==3.6.1"
        case mistral = "mistralai==3.7.0"
        case bedrock = "boto3==1.44.8"
        case vertex = "google-cloud-storage==3.17.1"

        var name: String { String(rawValue.prefix { $0 != "=" }) }
        /// All that is installed: Vertex AI has one library for models and one for files.
        var packages: [String] { self == .vertex ? [rawValue, Library.gemini.rawValue] : [rawValue] }
    }

    /// Whether `make test-sdks` asks for the newest versions.
    private static var isNewest: Bool { ProcessInfo.processInfo.environment["SHEAF_NEWEST_SDKS"] != nil }
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().path

    @Test("A library gets from the imitation what it gets from the service", arguments: Library.allCases)
    func library(library: Library) async throws {
        try await BatchServer.with { server in
            try await Workbench.with(configuration: "") { bench in
                let python = try await Self.python(library, bench)
                let script = "\(Self.folder)/SDKs/\(library.name)_sdk.py"
                let run = try await bench.shell("'\(python)' '\(script)' '\(server.url)' '\(BatchServer.key)'")
                #expect(run.code == 0, "\(run.output)\(run.talk)")
                #expect(run.output.hasPrefix(library.name))
            }
        }
    }

    /// Returns the Python of an environment with the library, kept between runs in the build folder.
    private static func python(_ library: Library, _ bench: Workbench) async throws -> String {
        let packages = library.packages.map { isNewest ? String($0.prefix { $0 != "=" }) : $0 }
        let home = "\(folder)/../../.build/python-\(packages.joined(separator: "-"))"
        let isComplete = isNewest ? "false" : "[ -e '\(home)/is-complete' ]"
        let run = try await bench.shell(
            """
            \(isComplete) && exit 0
            [ -x '\(home)/bin/python' ] || python3 -m venv --clear '\(home)' &&
            '\(home)/bin/python' -m pip install --quiet --disable-pip-version-check --upgrade \(packages.joined(separator: " ")) &&
            touch '\(home)/is-complete'
            """,
            limit: .seconds(180)
        )
        try #require(run.code == 0, "\(packages) cannot be installed from PyPI: \(run.output)\(run.talk)")
        return "\(home)/bin/python"
    }
}
