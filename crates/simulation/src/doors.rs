//! The doors of the simulated city.

use policy::compile::Product;
use policy::place::{Grant, Place, PlaceTree};
use vocabulary::code::{PlaceCode, ProductCode};

use crate::city::History;
use crate::papers::{PRODUCT, gate};
use crate::run::Fault;
use crate::scenario::instant;

/// All places, all products, and the grants of each operator.
pub(crate) type Doors = (PlaceTree, Vec<Product>, Vec<Vec<Grant>>);

/// The doors of the city: one for each operator, of whose next neighbour it takes passes as well.
pub(crate) fn doors(history: &History) -> Result<Doors, Fault> {
    let operators = &history.operators;
    let mut places = Vec::new();
    let (mut products, mut grants) = (Vec::new(), Vec::new());
    for (number, operator) in operators.iter().enumerate() {
        let code: PlaceCode = gate(operator).parse().map_err(|_| Fault("name a place"))?;
        let product: ProductCode = PRODUCT.parse().map_err(|_| Fault("name a product"))?;
        places.push(Place {
            code: code.clone(),
            operator: operator.clone(),
            name: "gate".parse().map_err(|_| Fault("name a place"))?,
            zone: None,
            class: None,
            added_at: instant(0),
            version: 1,
        });
        products.push(Product { operator: operator.clone(), code: product.clone() });
        let neighbour = operators.get((number + 1) % operators.len()).cloned();
        let neighbour = neighbour.filter(|neighbour| neighbour != operator);
        let grant = neighbour.map(|product_operator| Grant {
            operator: operator.clone(),
            place: code,
            product_operator,
            product,
            class: None,
            granted_at: instant(0),
        });
        grants.push(grant.into_iter().collect());
    }
    let tree = PlaceTree::new(places).map_err(|_| Fault("plant the places"))?;
    Ok((tree, products, grants))
}
