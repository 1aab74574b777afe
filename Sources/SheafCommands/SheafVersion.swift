/// The version of this program.
enum SheafVersion {
    static let current = "0.1.0"
}
