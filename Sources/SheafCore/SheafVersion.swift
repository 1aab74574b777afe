/// The version of Sheaf.
package enum SheafVersion {
    /// The version of this build.
    package static let current = "0.1.0"
    /// The version of the Swift compiler that made it, as far as it matters.
    package static var swift: String {
        #if compiler(>=6.4)
            "6.4"
        #else
            "6.3"
        #endif
    }
}
