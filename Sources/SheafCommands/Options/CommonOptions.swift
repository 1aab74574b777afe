import ArgumentParser
import Logging
import SheafSettings

/// The options that every command has.
struct CommonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The configuration file; else sheaf.yaml here or in a folder above.", valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "The broker: amqp://user:password@host:port/vhost, amqps://…, embedded, or embedded:FOLDER.",
            valueName: "url"
        )
    )
    var broker: String?

    @Option(help: ArgumentHelp("What all names on the broker begin with (default: sheaf).", valueName: "name"))
    var namespace: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Override a key of the configuration; may be repeated.", valueName: "key.path=value")
    )
    var overrides: [String] = []

    @Option(help: "How much is logged on standard error: trace, debug, info, notice, warning or error.")
    var logLevel: Logger.Level = .warning

    @Flag(name: .shortAndLong, help: "Say nothing on standard error but errors.")
    var quiet = false

    /// What goes before the environment and the file.
    func overrides(concurrency: Int?) -> SettingsOverrides {
        SettingsOverrides(
            config: config,
            broker: broker,
            namespace: namespace,
            concurrency: concurrency,
            set: overrides
        )
    }
}
