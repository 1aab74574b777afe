import Foundation

extension Console {
    /// The streams as the options and the environment want them.
    convenience init(_ options: CommonOptions) {
        self.init(isQuiet: options.quiet, environment: ProcessInfo.processInfo.environment)
    }
}
