/// A value stored by reference: for large values that are passed on often and hardly ever changed.
///
/// A copy retains one reference instead of all those inside the value.
@propertyWrapper
package struct Boxed<Value: Sendable>: Sendable {
    private final class Box: Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    private var box: Box

    package init(wrappedValue: Value) { box = Box(wrappedValue) }

    package var wrappedValue: Value {
        get { box.value }
        set { box = Box(newValue) }
    }

    /// The reference itself.
    package var projectedValue: Boxed<Value> { self }
}
