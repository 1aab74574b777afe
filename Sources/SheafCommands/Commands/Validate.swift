import ArgumentParser
import OrderedCollections
import Sheaf
import SheafCore
import SheafSettings
import SheafSources

extension SheafCommand {
    /// Checks configuration and input.
    struct Validate: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the configuration and the input, without connecting to the broker.",
            discussion: """
                With a flow, the whole input is read, unreadable records are counted and the first ones listed. \
                Without a flow, the configuration is checked, and the source of each flow that has one.

                Examples:
                  sheaf validate
                  sheaf validate wordcount texts/*.txt
                """
        )

        @OptionGroup(title: "Input") var input: InputOptions
        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let settings = session.settings
            let flows =
                input.flow == nil
                ? settings.flows.values.filter { !$0.source.isEmpty } : [try session.flow(named: input.flow)]
            for warning in settings.warnings { session.console.complain("sheaf: warning: \(warning)") }
            var report = ValidationReport(
                configuration: settings.file,
                flows: Array(settings.flows.keys),
                warnings: settings.warnings.map(\.description)
            )
            for flow in flows {
                let finding = try await InputFinding.check(flow, input: input)
                finding.report(on: session.console)
                report.findings.append(finding)
            }
            if json.isOn { try session.console.print(report.json.text) }
            if let bad = report.findings.first(where: { $0.status != .success }) {
                throw Diagnosis.silent(bad.status)
            }
            session.console.say(report.success)
        }
    }
}
