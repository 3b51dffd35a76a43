//! What an operator is told of a consumer.

use super::recorder::{Recorder, Then, content};
use super::world::{DEAD, GROUP, STREAM, World, json, run};
use crate::redis::Redis;
use crate::telling::behind;
use crate::topology::Consumer;

async fn told(world: &World) -> [i64; 3] {
    let redis = Redis::connect(&world.url()).await.unwrap();
    behind(&redis, Consumer::named(GROUP).unwrap()).await.unwrap()
}

#[test]
fn it_is_told_what_a_consumer_has_not_read_not_acknowledged_and_given_up_on() {
    run(async |world| {
        assert_eq!(told(&world).await, [0, 0, 0], "where nothing was ever told");
        world.append([1, 2]);
        world.drain(&content()).await;
        assert_eq!(told(&world).await, [0, 0, 0]);
        world.append([3, 4, 5]);
        assert_eq!(told(&world).await, [3, 0, 0]);
        world.drain(&Recorder::new(|_| Then::Later)).await;
        assert_eq!(told(&world).await, [0, 3, 0]);
        // Redis itself does not know the number where entries in the middle are gone.
        world.append([6, 7, 8]);
        let middle = world.ids()[6].clone();
        world.redis::<i64>(&["XDEL", STREAM, &middle]);
        assert_eq!(told(&world).await, [2, 3, 0]);
        world.put_dead(DEAD, STREAM, "1-9", &json("reservation", "ReservationRejected", 9));
        assert_eq!(told(&world).await, [2, 3, 1]);
    });
}
