import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Looks whether everything is as it should be.
    struct Doctor: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the set-up: configuration, broker, limits; say what to mend.",
            discussion: """
                The exit code is 0 unless something fails; then it is that of the failure.

                Examples:
                  sheaf doctor
                  sheaf doctor --broker amqp://guest:guest@localhost/ --json
                """
        )

        @OptionGroup var json: JSONOption
        @OptionGroup(title: "Common") var common: CommonOptions

        func run() async throws {
            let checks = try await SignalWatch.interruptible { [common] in await Examination(common).checks() }
            let console = Console(common)
            if json.isOn {
                let isWell = !checks.contains { $0.level == .fail }
                let value: JSONValue = [
                    "ok": .bool(isWell), "version": .string(SheafVersion.current), "checks": .array(checks.map(\.json)),
                ]
                try console.print(value.text)
            } else {
                let style = Style(isOn: console.output.hasColour)
                for line in checks.flatMap({ $0.lines(style: style) }) { try console.print(styled: line) }
            }
            if let failure = checks.first(where: { $0.level == .fail }) { throw Diagnosis.silent(failure.status) }
        }
    }
}
